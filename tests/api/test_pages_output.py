"""The pages of one output, without a browser: who gets what, what forms do, what odd ids get."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from app import accounts, lifecycle
from app.jobs import IdempotencyRequest, JobRequest
from app.jobs.compare import submit_compared
from app.lifecycle import Completed
from models import LLMOutput, User
from tests.api.house import House
from tests.api.visiting import Visitor, field, signed_in

TABS = ("result", "raw", "prompt", "context", "attempts", "lineage", "trace", "nonsense")
PAGES = (
    "",
    *(f"?tab={tab}" for tab in TABS),
    "/render",
    "/render?images=1",
    "/events",
    "/regenerate",
    "/erase",
    "/download/raw",
    "/download/rendered",
    "/download/row",
)
DEEDS = ("feedback", "re_run", "regenerate", "regenerate/preview", "cancel", "advance", "erase")
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def alice(shared: House) -> Visitor:
    return signed_in(shared, shared.alice)


@pytest.fixture(scope="module")
def charlie(shared: House) -> Visitor:
    return signed_in(shared, shared.charlie)


def row_of(house: House, output_id: int) -> LLMOutput:
    with house.database.read() as session:
        found = session.get(LLMOutput, output_id)
        assert found
        session.expunge(found)
        return found


def count(house: House) -> int:
    with house.database.read() as session:
        return session.query(LLMOutput).count()


# --- voting


@pytest.mark.parametrize("verdict", ["thumbs_up", "thumbs_down", "none"])
def test_a_vote_is_stored_and_leads_back(shared: House, alice: Visitor, verdict: str) -> None:
    output = shared.ended()["output_id"]
    for _ in range(2):  # the same twice is the same
        answer = alice.post(f"/llm_outputs/{output}/feedback", data={"feedback_type": verdict})
        assert (answer.status_code, answer.location) == (303, f"/llm_outputs/{output}")
        assert row_of(shared, output).feedback_word == verdict


def test_a_pressed_thumb_offers_to_take_it_back(shared: House, alice: Visitor) -> None:
    path = f"/llm_outputs/{shared.ended()['output_id']}"

    def values() -> list[str]:
        return re.findall(r'name="feedback_type" value="(\w+)" data-act', alice.get(path).text)

    assert values() == ["thumbs_up", "thumbs_down"]
    alice.post(f"{path}/feedback", data={"feedback_type": "thumbs_up"})
    assert values() == ["none", "thumbs_down"]


def test_a_vote_goes_on_only_to_pages_of_ours(shared: House, alice: Visitor) -> None:
    output = shared.ended()["output_id"]
    for wanted, given in (
        ("/llm_outputs?status=failed", "/llm_outputs?status=failed"),
        ("https://evil.test/", f"/llm_outputs/{output}"),
        ("//evil.test/", f"/llm_outputs/{output}"),
        ("/\\evil.test", f"/llm_outputs/{output}"),
    ):
        answer = alice.post(
            f"/llm_outputs/{output}/feedback", data={"feedback_type": "none", "next": wanted}
        )
        assert answer.location == given


def test_reasons_and_comment_are_kept_and_shown_again(shared: House, alice: Visitor) -> None:
    output = shared.ended()["output_id"]
    path = f"/llm_outputs/{output}"
    sent = {
        "feedback_type": "thumbs_down",
        "reason": ["Too long", "Wrong facts", "forged"],
        "comment": "Bees do not\r\ndance so.",
    }
    alice.post(f"{path}/feedback", data=sent)
    kept = row_of(shared, output).feedback_comment or ""
    assert kept.splitlines() == ["Reasons: Too long, Wrong facts", "Bees do not", "dance so."]
    page = alice.get(path)
    assert page.text.count('name="reason"') == 6
    assert 'value="Too long" checked' in page.text
    assert field(page, "comment").split() == ["Bees", "do", "not", "dance", "so."]
    # A thumb alone leaves the words and drops reasons that were for the other verdict.
    alice.post(f"{path}/feedback", data={"feedback_type": "thumbs_up"})
    kept = row_of(shared, output).feedback_comment or ""
    assert kept.splitlines() == ["Bees do not", "dance so."]


def test_htmx_gets_the_feedback_card_back(shared: House, alice: Visitor) -> None:
    path = f"/llm_outputs/{shared.ended()['output_id']}/feedback"
    answer = alice.post(path, data={"feedback_type": "thumbs_up"}, headers=HTMX)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith("<section")
    assert 'data-verdict="thumbs_up"' in answer.text


def test_an_unknown_verdict_is_refused(shared: House, alice: Visitor) -> None:
    path = f"/llm_outputs/{shared.ended()['output_id']}/feedback"
    assert alice.post(path, data={"feedback_type": "love"}).status_code == 400


# --- running again, stopping, hurrying, erasing


def test_a_re_run_leads_to_its_child(shared: House, alice: Visitor) -> None:
    output = shared.ended()["output_id"]
    answer = alice.post(f"/llm_outputs/{output}/re_run")
    child = int(str(answer.location).rpartition("/")[2])
    assert answer.status_code == 303
    assert row_of(shared, child).parent_id == output
    told = alice.post(f"/llm_outputs/{output}/re_run", headers=HTMX)
    assert (told.status_code, told.headers["HX-Retarget"]) == (200, "#notices")
    assert alice.post(f"/llm_outputs/{child}/re_run").status_code == 409


def test_cancel_and_retry_now_say_when_they_come_too_late(shared: House, alice: Visitor) -> None:
    waiting = shared.submit()["output_id"]
    assert alice.post(f"/llm_outputs/{waiting}/advance").status_code == 303
    assert alice.post(f"/llm_outputs/{waiting}/cancel").status_code == 303
    assert row_of(shared, waiting).status == "cancelled"
    for deed in ("cancel", "advance"):
        late = alice.post(f"/llm_outputs/{waiting}/{deed}", headers=HTMX)
        assert late.status_code == 200
        assert "cancelled" in late.text


def test_erasing_is_asked_for_and_then_done(shared: House, alice: Visitor) -> None:
    output = shared.ended(metadata={"secret": "plans"})["output_id"]
    path = f"/llm_outputs/{output}"
    assert "for good" in alice.get(f"{path}/erase").text
    assert row_of(shared, output).erased_at is None
    assert alice.post(f"{path}/erase").status_code == 303
    assert row_of(shared, output).raw_response is None
    for tab in TABS:
        assert alice.get(f"{path}?tab={tab}").status_code == 200
    assert alice.post(f"{path}/re_run").status_code == 409


# --- regenerating


def test_the_form_makes_a_child_with_what_was_changed(shared: House, alice: Visitor) -> None:
    output = shared.ended(context={"concept": "bees", "api_key": "hunter2-hunter2"})["output_id"]
    path = f"/llm_outputs/{output}/regenerate"
    form = alice.get(path)
    context = json.loads(field(form, "context"))
    assert context == {"concept": "bees", "api_key": "[redacted]"}
    sent: dict[str, Any] = {
        "template": field(form, "template").replace("\n", "\r\n"),
        "context": json.dumps({**context, "concept": "ants"}),
        "model": "gpt-4",
        "options": '{"temperature": 0.5}',
    }
    answer = alice.post(path, data=sent)
    child = row_of(shared, int(str(answer.location).rpartition("/")[2]))
    assert child.context == {"concept": "ants", "api_key": "hunter2-hunter2"}
    assert (child.options, child.derivation) == ({"temperature": 0.5}, "regenerate")
    assert child.template_name == row_of(shared, output).template_name


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"context": "{nonsense"}, "e-context"),
        ({"context": "[1]"}, "e-context"),
        ({"context": '{"a": NaN}'}, "e-context"),
        ({"options": "7"}, "e-options"),
        ({"options": '{"temperature": "' + "9" * 9 + '"}', "template": "{{open"}, "e-template"),
        ({"template": " "}, "e-template"),
        ({"other_model": "mystery-1"}, "e-model"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    shared: House, alice: Visitor, changed: dict[str, str], place: str
) -> None:
    path = f"/llm_outputs/{shared.ended()['output_id']}/regenerate"
    form = alice.get(path)
    fields = {n: field(form, n) for n in ("template", "context", "options")} | {"model": "gpt-4"}
    before = count(shared)
    for headers in ({}, HTMX):
        answer = alice.post(path, data={**fields, **changed}, headers=headers)
        assert answer.status_code in (400, 422)
        assert f'id="{place}"' in answer.text
    assert count(shared) == before
    for name, text in changed.items():
        assert field(answer, name) == text


def test_a_preview_shows_what_differs_and_stores_nothing(shared: House, alice: Visitor) -> None:
    path = f"/llm_outputs/{shared.ended()['output_id']}/regenerate"
    before = count(shared)
    sent = {"template": "Explain {{concept}} to <b>a king</b>", "context": "{}", "model": "gpt-4"}
    shown = alice.post(f"{path}/preview", data=sent, headers=HTMX).text
    assert "<ins>&lt;b&gt;" in shown
    assert "<b>a king" not in shown
    assert "no value for concept" in shown
    plain = alice.post(path, data={**sent, "preview": "1"})
    assert (plain.status_code, count(shared)) == (200, before)
    assert "What differs" in plain.text


# --- who gets what


def test_pages_of_an_output_are_its_owners_and_administrators(
    shared: House, alice: Visitor, charlie: Visitor
) -> None:
    output = shared.ended(format="markdown")["output_id"]
    running = shared.submit()["output_id"]
    other = shared.ended(shared.bob)["output_id"]
    ada = signed_in(shared, shared.ada)
    compare = f"/compare/{output}"
    for page in (*PAGES, compare):
        for one, status in ((alice, 200), (charlie, 404), (ada, 200)):
            answer = one.client.get(f"/llm_outputs/{output}{page}", buffered=True)
            assert answer.status_code == status, (page, answer.text)
    for page in ("", "/events", "/render", compare):
        assert charlie.client.head(f"/llm_outputs/{running}{page}").status_code == 404
    for first, second in ((output, other), (other, output)):
        assert alice.get(f"/llm_outputs/{first}/compare/{second}").status_code == 404
    assert ada.get(f"/llm_outputs/{output}/compare/{other}").status_code == 200


def test_a_stranger_can_do_nothing_to_an_output(shared: House, charlie: Visitor) -> None:
    job = shared.submit()
    output = job["output_id"]
    before = count(shared)
    form = {"feedback_type": "thumbs_up", "template": "x", "context": "{}", "model": "gpt-4"}
    for deed in DEEDS:
        for headers in ({}, HTMX):
            answer = charlie.post(f"/llm_outputs/{output}/{deed}", data=form, headers=headers)
            assert answer.status_code == 404, deed
    row = row_of(shared, output)
    assert (row.status, row.feedback, count(shared)) == ("pending", 0, before)
    assert charlie.get(f"/tasks/{job['job_id']}").status_code == 404


def test_forms_without_their_token_change_nothing(shared: House, alice: Visitor) -> None:
    output = shared.ended()["output_id"]
    before = count(shared)
    form = {"feedback_type": "thumbs_up", "template": "x", "context": "{}", "model": "gpt-4"}
    for deed in DEEDS:
        answer = alice.post(f"/llm_outputs/{output}/{deed}", data=form, token="")
        assert answer.status_code == 403, deed
        assert "text/html" in answer.content_type
    row = row_of(shared, output)
    assert (row.feedback, row.erased_at, count(shared)) == (0, None, before)


@pytest.mark.parametrize("odd", ["0", "-1", str(2**63), "9" * 400, "1e3", "007", "%00", "١"])
def test_odd_ids_are_unknown(shared: House, alice: Visitor, odd: str) -> None:
    known = shared.ended()["output_id"]
    for page in (*PAGES, f"/compare/{known}"):
        assert alice.get(f"/llm_outputs/{odd}{page}").status_code == 404, page
    for deed in DEEDS:
        answer = alice.post(f"/llm_outputs/{odd}/{deed}", data={"feedback_type": "none"})
        assert answer.status_code == 404, deed
    assert alice.get(f"/llm_outputs/{known}/compare/{odd}").status_code == 404
    hurried = alice.get(f"/llm_outputs/{known}/compare?other={odd}", follow_redirects=True)
    assert hurried.status_code == 404


def test_whoever_is_not_signed_in_is_asked_to(shared: House) -> None:
    output = shared.ended()["output_id"]
    client = shared.app.test_client()
    for page in PAGES:
        assert client.get(f"/llm_outputs/{output}{page}").status_code == 303
    for deed in DEEDS:
        assert client.post(f"/llm_outputs/{output}/{deed}").status_code == 303


def test_flowers_links_lead_to_the_output(shared: House, alice: Visitor) -> None:
    job = shared.ended()
    answer = alice.get(f"/tasks/{job['job_id']}")
    assert (answer.status_code, answer.location) == (303, f"/llm_outputs/{job['output_id']}")
    for unknown in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        assert alice.get(f"/tasks/{unknown}").status_code == 404


# --- files and frames


def test_downloads_are_files_and_nothing_else(shared: House, alice: Visitor) -> None:
    job = shared.submit(format="html")
    shared.complete(job, "<p>Bees <script>alert(1)</script><b>dance</b></p>")
    path = f"/llm_outputs/{job['output_id']}/download"
    for what, media in (
        ("raw", "text/plain"),
        ("rendered", "text/html"),
        ("row", "application/json"),
    ):
        answer = alice.get(f"{path}/{what}")
        assert answer.mimetype == media
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>" in alice.get(f"{path}/raw").text
    assert "script" not in alice.get(f"{path}/rendered").text
    assert alice.get(f"{path}/row").get_json()["id"] == job["output_id"]
    assert alice.get(f"{path}/nothing").status_code == 404


def test_a_frame_has_the_policy_that_makes_it_harmless(shared: House, alice: Visitor) -> None:
    job = shared.submit(format="markdown")
    shared.complete(job, "![x](https://a.test/i.png) ![y](http://a.test/j.png) *so*")
    path = f"/llm_outputs/{job['output_id']}/render"
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src {}; form-action 'none';"
        " base-uri 'none'; frame-ancestors 'self'; sandbox"
    )
    plain, with_images = alice.get(path), alice.get(f"{path}?images=1")
    assert plain.headers["Content-Security-Policy"] == policy.format("data:")
    assert "<img" not in plain.text
    assert with_images.headers["Content-Security-Policy"] == policy.format("data: https:")
    assert re.findall(r'<img[^>]*src="([^"]*)"', with_images.text) == ["https://a.test/i.png"]
    themed = alice.get(f"{path}?theme=dark%22%3E%3Cscript%3E").text
    assert "<script" not in themed
    assert '<html lang="en" class="dark">' in alice.get(f"{path}?theme=dark").text
    assert alice.get(f"/llm_outputs/{shared.ended()['output_id']}/render").status_code == 404


def test_the_page_itself_cannot_be_framed_by_others(shared: House, alice: Visitor) -> None:
    page = alice.get(f"/llm_outputs/{shared.ended()['output_id']}")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


def test_the_stream_ends_with_an_ended_job_and_is_not_asked_for_again(
    shared: House, alice: Visitor
) -> None:
    path = f"/llm_outputs/{shared.ended()['output_id']}/events"
    answer = alice.get(path)
    assert answer.mimetype == "text/event-stream"
    assert [line for line in answer.text.splitlines() if line.startswith("event:")] == [
        "event: snapshot",
        "event: final",
    ]
    assert alice.get(path, headers={"Last-Event-ID": "end"}).status_code == 204


def test_an_output_of_a_comparison_leads_back_to_it(shared: House, alice: Visitor) -> None:
    request = JobRequest(template="Hi", context={})
    with shared.database.read() as session:
        caller = accounts.caller_of(session.get_one(User, shared.alice.user_id))
    made = submit_compared(
        shared.runtime,
        caller,
        request,
        ["gpt-4", "gpt-4o"],
        idempotency=IdempotencyRequest("page-output", "0"),
    )
    first, second = made.output_ids
    link = f'href="/compare/{made.id}?ids={first},{second}"'.replace(",", "%2C")
    assert link in alice.get(f"/llm_outputs/{second}").text.replace(",", "%2C")


@pytest.mark.parametrize(
    "forged",
    [
        {"compare": 7, "compared_jobs": []},
        {"compare": "x", "compared_jobs": "all"},
        {"compare": "x", "compared_jobs": [1, None, {}]},
        {"compare": "../x"},
    ],
)
def test_metadata_that_only_looks_like_a_comparison_is_none(
    shared: House, alice: Visitor, forged: dict[str, Any]
) -> None:
    page = alice.get(f"/llm_outputs/{shared.ended(metadata=forged)['output_id']}")
    assert page.status_code == 200
    assert "side by side" not in page.text


def deep(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = {"x": [value]}
    return value


@pytest.mark.parametrize("depth", [20, 100, 200])
def test_an_answer_of_any_depth_is_shown(shared: House, alice: Visitor, depth: int) -> None:
    outputs = []
    for number in (depth, depth - 1):
        job = shared.submit(format="json")
        claim = shared.claim(job)
        value = deep(number)
        end = Completed(
            output_id=claim.output_id,
            fence=claim.fence,
            raw_response=json.dumps(value),
            parsed_output=value,
            result_items={"items": value},
        )
        with shared.database.write() as session:
            lifecycle.complete(session, [end])
        outputs.append(job["output_id"])
    for page in (*PAGES, f"/compare/{outputs[1]}"):
        answer = alice.client.get(f"/llm_outputs/{outputs[0]}{page}", buffered=True)
        expected = 404 if "render" in page else 200
        assert answer.status_code == expected, page


def test_a_very_long_answer_is_cut_on_the_page_and_whole_in_the_file(
    shared: House, alice: Visitor
) -> None:
    job = shared.submit(template="x" * 250_000, context={})
    shared.complete(job, "y" * 300_000)
    path = f"/llm_outputs/{job['output_id']}"
    for tab in TABS:
        assert len(alice.get(f"{path}?tab={tab}").text) < 300_000, tab
    assert "Only the beginning is shown" in alice.get(path).text
    assert len(alice.get(f"{path}/download/raw").text) == 300_000
    assert alice.get(f"{path}/compare/{job['output_id']}").status_code == 200


def test_htmx_gets_the_inner_part_alone(shared: House, alice: Visitor) -> None:
    path = f"/llm_outputs/{shared.ended()['output_id']}"
    answer = alice.get(f"{path}?tab=attempts", headers=HTMX)
    assert answer.text.lstrip().startswith("<article")
    assert "<html" not in answer.text
