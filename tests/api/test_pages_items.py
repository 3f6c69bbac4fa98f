"""Pages of jobs of prompt definitions, without a browser: items, definition, exchange, forms."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest

from app import lifecycle
from app.lifecycle import Completed
from tests.api.house import OUTPUTS, House
from tests.api.visiting import Visitor, field, signed_in

PROMPT = {
    "name": "sort",
    "messages": [
        {"role": "system", "content": "You sort."},
        {"content": "Sort <itemvalue>title</itemvalue> {{how}}: <FILECONTEXT>.*</FILECONTEXT>"},
    ],
    "model": "simulator/echo",
    "options": {"n_predict": 16},
    "result_item": "kind",
}
JOB: dict[str, Any] = {
    "template": None,
    "model": None,
    "prompt": "sort",
    "context": {"how": "well"},
    "workitem": {"title": "Bees", "password": "hunter2-hunter2"},
    "files": [{"name": "a.txt", "text": "Catalog of goods <b>"}],
}
ITEMS = {"kind": ["letter"], "total": [4100.0, 1]}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def alice(fresh: House) -> Visitor:
    return signed_in(fresh, fresh.alice)


def submitted(house: House, **changes: Any) -> dict[str, Any]:
    """A job of alice's stored prompt."""
    made = house.post("/api/v1/prompts", as_=house.alice, json=PROMPT)
    assert made.status_code in (200, 201)
    return house.submit(**{**JOB, **changes})


def ended(house: House, items: dict[str, Any] | None = None, **changes: Any) -> str:
    """The address of the page of a job that ended with these items."""
    job = submitted(house, **changes)
    claim = house.claim(job)
    end = Completed(
        output_id=claim.output_id,
        fence=claim.fence,
        prompt="Sort Bees well: Catalog of goods",
        raw_response="letter",
        result_items=ITEMS if items is None else items,
    )
    with house.database.write() as session:
        lifecycle.complete(session, [end])
    return f"/llm_outputs/{job['output_id']}"


def filled(visitor: Visitor, path: str, **changed: str) -> dict[str, str]:
    """The form of the items as it stands, with some fields typed over."""
    page = visitor.get(f"{path}?tab=items")
    names = json.loads(field(page, "names"))
    form = {"names": field(page, "names"), "act": "save"}
    for number, name in enumerate(names):
        form[f"value:{number}"] = changed.get(name, field(page, f"value:{number}"))
        form[f"as:{number}"] = "json" if name == "total" else "lines"
    return form


def row_of(house: House, path: str) -> dict[str, Any]:
    output_id = path.rpartition("/")[2]
    return dict(house.get(f"{OUTPUTS}/{output_id}", as_=house.alice).get_json())


# --- items


def test_only_outputs_that_have_them_show_items_and_a_definition(
    fresh: House, alice: Visitor
) -> None:
    plain = f"/llm_outputs/{fresh.ended()['output_id']}"
    defined = ended(fresh)
    for tab, path, shown in (
        ("items", plain, False),
        ("items", ended(fresh, {}), False),
        ("items", defined, True),
        ("definition", plain, False),
        ("definition", defined, True),
    ):
        page = alice.get(f"{path}?tab={tab}")
        assert page.status_code == 200
        assert (f"tab={tab}" in page.text) == (f'id="tab-{tab}"' in page.text) == shown
    assert 'id="tab-result"' in alice.get(f"{plain}?tab=items").text


def test_corrections_are_kept_and_shown_beside_what_the_model_gave(
    fresh: House, alice: Visitor
) -> None:
    path = ended(fresh)
    answer = alice.post(f"{path}/items", data=filled(alice, path, total="4100.5\r\n2"))
    assert (answer.status_code, answer.location) == (303, f"{path}?tab=items")
    row = row_of(fresh, path)
    assert (row["review"]["items"], row["review"]["confirmed"]) == (
        {"kind": ["letter"], "total": [4100.5, 2]},
        False,
    )
    assert row["result_items"] == ITEMS
    page = alice.get(f"{path}?tab=items").text
    assert 'aria-label="total as the model gave it">4100.0\n1</pre>' in page
    assert "corrected" in page
    assert "by alice" in page


def test_confirming_says_who_and_keeps_what_was_typed(fresh: House, alice: Visitor) -> None:
    path = ended(fresh)
    alice.post(f"{path}/items", data={**filled(alice, path, kind="invoice"), "act": "confirm"})
    review = row_of(fresh, path)["review"]
    assert (review["items"]["kind"], review["confirmed"]) == (["invoice"], True)
    alice.post(f"{path}/items", data=filled(alice, path, kind="bill"))
    page = alice.get(f"{path}?tab=items").text
    assert page.count("What it changed") == 2
    assert page.index(">corrected<") < page.index(">confirmed<")


def test_saving_what_was_not_changed_is_no_review(fresh: House, alice: Visitor) -> None:
    path = ended(fresh)
    assert alice.post(f"{path}/items", data=filled(alice, path)).status_code == 303
    assert row_of(fresh, path)["review"] is None


def test_another_item_is_added(fresh: House, alice: Visitor) -> None:
    path = ended(fresh)
    form = {**filled(alice, path), "new_name": "due", "value:new": '"soon"', "as:new": "json"}
    alice.post(f"{path}/items", data=form)
    assert row_of(fresh, path)["review"]["items"] == {**ITEMS, "due": ["soon"]}


def test_what_cannot_be_read_is_shown_again_and_stores_nothing(
    fresh: House, alice: Visitor
) -> None:
    path = ended(fresh)
    answer = alice.post(f"{path}/items", data=filled(alice, path, total="4,100.50"))
    assert answer.status_code == 400
    assert 'id="e-i-1" role="alert">Line 1 is not JSON' in answer.text
    assert field(answer, "value:1") == "4,100.50"
    long_name = {**filled(alice, path), "new_name": "n" * 256, "value:new": "x"}
    refused = alice.post(f"{path}/items", data=long_name)
    assert (refused.status_code, "1 to 255 characters" in refused.text) == (400, True)
    assert row_of(fresh, path)["review"] is None


def test_items_of_what_has_not_completed_are_not_corrected(fresh: House, alice: Visitor) -> None:
    job = submitted(fresh)
    path = f"/llm_outputs/{job['output_id']}"
    answer = alice.post(f"{path}/items", data={"names": "[]", "new_name": "a", "value:new": "b"})
    assert (answer.status_code, "only completed ones" in answer.text) == (409, True)
    assert row_of(fresh, path)["review"] is None


def test_a_conversation_is_read_as_one(fresh: House, alice: Visitor) -> None:
    turns = [
        {"chat.role": "user", "chat.message": "Is <b>it</b> new?"},
        {"chat.role": "assistant", "chat.message": "Quite", "chat.date": "2026-01-01T00:00:00Z"},
    ]
    path = ended(fresh, {"talk": turns})
    page = alice.get(f"{path}?tab=items").text
    assert 'aria-label="Message 2, assistant">Quite</pre>' in page
    assert "Is &lt;b&gt;it&lt;/b&gt; new?" in page
    assert "chat.role" not in page
    alice.post(f"{path}/items", data={**filled(alice, path), "act": "confirm"})
    assert row_of(fresh, path)["review"]["items"] == {"talk": turns}


def test_words_are_suggested_for_the_items_a_prompt_names(fresh: House, alice: Visitor) -> None:
    items = {"ai.suggest.items": ["city"], "ai.suggest.mode": ["ON"], **ITEMS}
    path = ended(fresh, items)
    assert alice.get(f"{path}?tab=items").text.count("data-suggest=") == 1
    words = alice.get(f"{path}/suggestions?q=cat", headers=HTMX).text
    assert words.count("data-suggestion") == 3
    assert ">Catalog of goods</button>" in words
    assert alice.get(f"{path}/suggestions?q=c").text.strip() == ""
    assert alice.get(f"{path}/suggestions?q={'c' * 5000}").status_code == 200


# --- definition, files and exchange


def test_the_definition_tells_its_steps_work_item_and_files(fresh: House, alice: Visitor) -> None:
    page = unescape(alice.get(f"{ended(fresh)}?tab=definition").text)
    for told in (
        'href="/prompts/sort?version=1"',
        "You sort.",
        "<itemvalue>title</itemvalue>",
        '"n_predict": 16',
        "simulator/echo",
        "a.txt",
        "text/plain · 20 B · 20 characters of text",
        "Catalog of goods <b>",
        '"Bees"',
    ):
        assert told in page, told
    assert "hunter2" not in page


def test_a_long_file_is_cut_on_the_page(fresh: House, alice: Visitor) -> None:
    path = ended(fresh, files=[{"name": "a.txt", "text": "x" * 30_000 + "END"}])
    page = alice.get(f"{path}?tab=definition").text
    assert "30,003 characters of text" in page
    assert "Only the first 20,000 characters are shown" in page
    assert ("x" * 20_000 in page, "x" * 20_001 in page) == (True, False)


def test_a_prompt_is_linked_to_whom_it_is_there_for(fresh: House, alice: Visitor) -> None:
    path, ada = ended(fresh), signed_in(fresh, fresh.ada)
    link = f'href="/prompts/sort?version=1&amp;user_id={fresh.alice.user_id}"'
    assert link in ada.get(path).text
    archived = fresh.call("DELETE", "/api/v1/prompts/sort", as_=fresh.alice)
    assert archived.status_code == 204
    for visitor in (alice, ada):
        page = visitor.get(f"{path}?tab=definition")
        assert ("sort@1" in page.text, 'href="/prompts/sort' in page.text) == (True, False)


def test_the_prompt_tab_shows_what_was_sent_not_the_prompts_name(
    fresh: House, alice: Visitor
) -> None:
    page = alice.get(f"{ended(fresh)}?tab=prompt").text
    assert "Sort Bees well: Catalog of goods" in page
    assert "Context fetchers" not in page
    waiting = f"/llm_outputs/{submitted(fresh)['output_id']}"
    assert "Nothing was sent" in alice.get(f"{waiting}?tab=prompt").text


def test_a_debugged_jobs_attempts_show_what_was_exchanged(fresh: House, alice: Visitor) -> None:
    job = submitted(fresh, debug=True)
    claim = fresh.claim(job)
    exchange = {
        "request": {
            "model": "m",
            "messages": [{"role": "user", "content": "Sort <i>"}],
            "options": {"n_predict": 16},
            "stream": False,
        },
        "answer": {"text": "letter", "stop": "end"},
        "error": None,
    }
    report = lifecycle.Report(exchange=exchange)
    end = Completed(
        output_id=claim.output_id, fence=claim.fence, raw_response="letter", report=report
    )
    with fresh.database.write() as session:
        lifecycle.complete(session, [end])
    path = f"/llm_outputs/{job['output_id']}"
    page = alice.get(f"{path}?tab=attempts").text
    for told in ("What was sent and answered", "Sort &lt;i&gt;", "n_predict", ">letter</pre>"):
        assert told in page, told
    plain = fresh.ended()["output_id"]
    assert "sent and answered" not in alice.get(f"/llm_outputs/{plain}?tab=attempts").text


# --- regenerating


def test_the_form_changes_the_work_item_and_keeps_masked_values(
    fresh: House, alice: Visitor
) -> None:
    path = f"{ended(fresh)}/regenerate"
    form = alice.get(path)
    assert 'name="template"' not in form.text
    assert 'href="/prompts/sort?version=1"' in form.text
    workitem = json.loads(field(form, "workitem"))
    assert workitem == {"title": ["Bees"], "password": "[redacted]"}
    names = ("context", "options")
    sent = {n: field(form, n) for n in names} | {"model": "simulator/echo"}
    sent["workitem"] = json.dumps({**workitem, "title": ["Ants"]})
    shown = alice.post(f"{path}/preview", data=sent, headers=HTMX).text
    assert "Sort Ants well: Catalog of goods" in shown
    answer = alice.post(path, data=sent)
    assert answer.status_code == 303, answer.text
    child = row_of(fresh, str(answer.location))
    assert child["workitem"] == {"title": ["Ants"], "password": ["hunter2-hunter2"]}
    assert (child["prompt_name"], len(child["files"])) == ("sort", 1)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"workitem": "{nonsense"}, "e-workitem"),
        ({"workitem": "[1]"}, "e-workitem"),
        ({"workitem": '{" ": 1}'}, "e-workitem"),
        ({"context": "{}"}, "e-context"),
    ],
)
def test_what_is_wrong_with_it_stands_beside_its_field(
    fresh: House, alice: Visitor, changed: dict[str, str], place: str
) -> None:
    path = f"{ended(fresh)}/regenerate"
    form = alice.get(path)
    sent = {n: field(form, n) for n in ("context", "options", "workitem")}
    answer = alice.post(path, data={**sent, **changed, "model": "simulator/echo"})
    assert answer.status_code in (400, 422)
    assert f'id="{place}"' in answer.text
    assert fresh.get(OUTPUTS, as_=fresh.alice).get_json()["data"][0]["parent_id"] is None


def test_compared_outputs_differ_in_the_words_of_their_definitions(
    fresh: House, alice: Visitor
) -> None:
    first = ended(fresh)
    changed = {**PROMPT, "messages": [{"content": "Order <FILECONTEXT>.*</FILECONTEXT>"}]}
    assert fresh.post("/api/v1/prompts", as_=fresh.alice, json=changed).status_code in (200, 201)
    job = fresh.submit(**{**JOB, "prompt": "sort@2", "context": {}})
    fresh.complete(job)
    page = alice.get(f"{first}/compare/{job['output_id']}").text
    assert "<ins>Order" in page
    assert "hunter2" not in page
