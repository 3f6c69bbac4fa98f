"""The Submit page without a browser: what it sends, what it refuses, whose rows it uses."""

from __future__ import annotations

import json
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app import accounts
from models import LLMOutput
from tests.api.house import House, Person, open_house
from tests.api.visiting import Visitor, field, signed_in, visitor
from tests.support.databases import SQLiteDatabases

NEW = "/llm_outputs/new"
FORM = {
    "template": "Explain {{concept}} to {{user.name}}",
    "value:concept": "tides",
    "value:user.name": "Ann",
    "model": "simulator/echo",
}


@pytest.fixture
def alice(house: House) -> Visitor:
    return signed_in(house, house.alice)


def rows(house: House) -> list[LLMOutput]:
    with house.database.read() as session:
        found = list(session.scalars(select(LLMOutput).order_by(LLMOutput.id)))
        session.expunge_all()
        return found


def sent(one: Visitor, **changes: Any) -> TestResponse:
    return one.post(NEW, data={**FORM, "key": "a1", **changes})


def refused(answer: TestResponse, house: House, status: int = 400) -> TestResponse:
    """A page with the form, and no row."""
    assert answer.status_code == status, answer.text[:2000]
    assert 'id="submit-form"' in answer.text
    assert rows(house) == []
    return answer


def test_a_form_becomes_a_row_of_its_sender(house: House, alice: Visitor) -> None:
    answer = sent(
        alice,
        format="json",
        queue="high",
        system="Be brief.",
        temperature="0.5",
        max_tokens="50",
        options='{"top_p": 0.9}',
        response_schema='{"type": "object"}',
        metadata='{"ticket": 42}',
        run_at="2031-01-31T09:05",
    )
    (row,) = rows(house)
    assert answer.status_code == 303
    assert answer.location == f"/llm_outputs/{row.id}"
    assert row.user_id == house.alice.user_id
    assert row.template_name == FORM["template"]
    assert row.context == {"concept": "tides", "user": {"name": "Ann"}}
    assert (row.format, row.queue, row.system) == ("json", "high", "Be brief.")
    assert row.options == {"temperature": 0.5, "max_tokens": 50, "top_p": 0.9}
    assert row.response_schema == {"type": "object"}
    assert row.metadata_ == {"ticket": 42}
    assert row.run_at.isoformat() == "2031-01-31T09:05:00+00:00"


def test_values_are_text_or_json(house: House, alice: Visitor) -> None:
    data = {"value:concept": '["a", 1]', "json:concept": "yes", "value:user.name": "7"}
    assert sent(alice, **data).status_code == 303
    assert rows(house)[0].context == {"concept": ["a", 1], "user": {"name": "7"}}


def test_the_context_can_be_written_as_json(house: House, alice: Visitor) -> None:
    whole = {"concept": "x", "more": [1, None]}
    assert sent(alice, context_as="json", context=json.dumps(whole)).status_code == 303
    assert rows(house)[0].context == whole


def test_keys_no_variable_asks_for_are_kept(house: House, alice: Visitor) -> None:
    assert sent(alice, context='{"concept": "old", "trace": 1}').status_code == 303
    assert rows(house)[0].context == {"concept": "tides", "trace": 1, "user": {"name": "Ann"}}


def test_a_conversation_stands_for_the_template(house: House, alice: Visitor) -> None:
    messages = [{"role": "user", "content": "About {{concept}}"}]
    assert sent(alice, template="", messages=json.dumps(messages)).status_code == 303
    (row,) = rows(house)
    assert row.messages == messages
    assert row.context == {"concept": "tides"}


def test_lines_end_as_they_were_typed(house: House, alice: Visitor) -> None:
    sent(alice, template="one\r\ntwo {{concept}}\r\n")
    assert rows(house)[0].template_name == "one\ntwo {{concept}}\n"


def test_the_same_form_sent_twice_makes_one_job(house: House, alice: Visitor) -> None:
    first, second = sent(alice), sent(alice)
    assert len(rows(house)) == 1
    assert first.location == second.location


def test_a_form_changed_after_going_back_makes_another_job(house: House, alice: Visitor) -> None:
    sent(alice)
    assert sent(alice, **{"value:concept": "moons"}).status_code == 303
    assert len(rows(house)) == 2


def test_every_form_has_a_key_of_its_own(alice: Visitor) -> None:
    keys = {field(alice.get(NEW), "key") for _ in range(3)}
    assert len(keys) == 3


def test_detecting_variables_makes_their_fields(house: House, alice: Visitor) -> None:
    answer = alice.post(NEW, data={"do": "detect", "template": "{{a}} {{ b.c }} {{a}}"})
    assert answer.status_code == 200
    assert field(answer, "value:a") == field(answer, "value:b.c") == ""
    assert rows(house) == []


def test_fields_and_json_are_kept_in_step(alice: Visitor) -> None:
    context = '{"concept": "tides", "user": {"name": ["Ann"]}, "more": 1}'
    answer = alice.post(
        NEW, data={"do": "detect", **FORM, "context_as": "json", "context": context}
    )
    assert field(answer, "value:concept") == "tides"
    assert field(answer, "value:user.name") == '["Ann"]'
    back = alice.post(NEW, data={"do": "detect", **FORM, "context": context})
    assert json.loads(field(back, "context")) == {
        "concept": "tides",
        "user": {"name": "Ann"},
        "more": 1,
    }


def test_a_preview_shows_what_would_be_sent_and_stores_nothing(
    house: House, alice: Visitor
) -> None:
    data = {**FORM, "value:user.name": "", "context": '{"spare": 1}', "max_tokens": "100"}
    for path, extra in ((NEW, {"do": "preview"}), (f"{NEW}/preview", {})):
        answer = alice.post(path, data={**data, **extra})
        assert answer.status_code == 200
        assert "Explain tides to {{user.name}}" in answer.text
        assert "Without a value: <code>user.name</code>" in answer.text
        assert "Not used by the template: <code>spare</code>" in answer.text
        assert "curl http://localhost/api/v1/llm_jobs" in answer.text
    assert rows(house) == []


def test_a_preview_of_what_cannot_be_sent_says_why(alice: Visitor) -> None:
    answer = alice.post(f"{NEW}/preview", data={**FORM, "model": ""})
    assert answer.status_code == 200
    assert "Missing required parameter: model" in answer.text


def test_the_form_can_be_filled_in_by_its_address(alice: Visitor) -> None:
    answer = alice.get(
        NEW,
        query_string={
            "template": "Say {{x}}",
            "model": "my/own-model",
            "context": '{"x": "hello"}',
            "priority": "low",
            "format": "html",
        },
    )
    assert field(answer, "template") == "Say {{x}}"
    assert field(answer, "value:x") == "hello"
    assert field(answer, "other_model") == "my/own-model"
    assert '<option value="low" selected>' in answer.text
    assert '<option value="html" selected>' in answer.text


def test_an_output_can_be_used_as_a_template(house: House, alice: Visitor) -> None:
    job = house.submit(
        template="\n<b>{{a}}</b>", context={"a": {"b": 1}, "z": 2}, options={"temperature": 1}
    )
    answer = alice.get(f"{NEW}?from={job['output_id']}")
    assert answer.status_code == 200
    assert field(answer, "template") == "\n<b>{{a}}</b>"
    assert field(answer, "value:a") == '{"b": 1}'
    assert json.loads(field(answer, "context")) == {"a": {"b": 1}, "z": 2}
    assert field(answer, "temperature") == "1"


@pytest.mark.parametrize("unknown", ["0", "-1", "999999", "x", "1e3", "٣", "9" * 40, ""])
def test_an_output_that_is_none_cannot_be_used(alice: Visitor, unknown: str) -> None:
    assert alice.get(NEW, query_string={"from": unknown}).status_code == 404


def test_a_strangers_output_cannot_be_used(house: House, alice: Visitor) -> None:
    job = house.submit(as_=house.bob, template="bob's secret")
    answer = alice.get(f"{NEW}?from={job['output_id']}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def _agent(house: House, person: Person, **facts: Any) -> int:
    with house.database.write() as session:
        caller = accounts.Caller(user_id=person.user_id, email="", name=person.name)
        return accounts.create_agent(session, caller, **facts).id


def test_ones_own_agent_supplies_what_is_left_open(house: House, alice: Visitor) -> None:
    mine = _agent(house, house.alice, name="Helpful", model="simulator/echo", system="Kind")
    _agent(house, house.bob, name="Strange")
    page = alice.get(NEW).text
    assert "Helpful" in page
    assert "Strange" not in page
    assert sent(alice, model="", agent_id=str(mine)).status_code == 303
    (row,) = rows(house)
    assert (row.agent_id, row.model_name, row.system) == (mine, "simulator/echo", "Kind")


def test_a_strangers_agent_is_unknown(house: House, alice: Visitor) -> None:
    other = _agent(house, house.bob, name="Strange", model="simulator/echo")
    for agent in (str(other), "0", "abc", "9" * 30, "99999"):
        refused(sent(alice, agent_id=agent), house, 404)


def test_nobody_else_may_send_the_form(house: House) -> None:
    nobody = visitor(house)
    for path in (NEW, f"{NEW}/preview"):
        answer = nobody.post(path, data=FORM)
        assert answer.status_code == 303
        assert "/sign-in" in answer.location
    alice = signed_in(house, house.alice)
    for path in (NEW, f"{NEW}/preview"):
        assert alice.post(path, data=FORM, token="").status_code == 403
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert alice.post(path, data=FORM, headers=foreign).status_code == 403
    assert rows(house) == []


MISTAKES: dict[str, tuple[dict[str, str], str, str]] = {
    "no template": ({"template": " "}, "template", "Missing required parameter: template"),
    "unclosed tag": ({"template": "a {{b"}, "template", "Unclosed tag"),
    "no model": ({"model": ""}, "model", "Missing required parameter: model"),
    "unknown model": ({"model": "*", "other_model": "mystery-1"}, "model", "Unsupported model"),
    "a long model": ({"model": "*", "other_model": "gpt-" + "x" * 300}, "model", "255"),
    "unknown format": ({"format": "pdf"}, "format", "Invalid format"),
    "unknown queue": ({"queue": "soon"}, "queue", "Invalid queue"),
    "NUL in the template": ({"template": "a\x00b"}, "template", "U+0000"),
    "NUL in a value": ({"value:concept": "a\x00b"}, "value:concept", "U+0000"),
    "a value that is no JSON": (
        {"value:concept": "{", "json:concept": "yes"},
        "value:concept",
        "not JSON",
    ),
    "a context that is no JSON": ({"context_as": "json", "context": "{x"}, "context", "not JSON"),
    "a context that is a list": ({"context_as": "json", "context": "[]"}, "context", "hash/object"),
    "lone surrogates": ({"context_as": "json", "context": r'{"a": "\ud800"}'}, "context", "lone"),
    "NaN": ({"context_as": "json", "context": '{"a": NaN}'}, "context", "NaN"),
    "duplicate keys": ({"context_as": "json", "context": '{"a":1,"a":2}'}, "context", "Duplicate"),
    "deep nesting": (
        {"context_as": "json", "context": '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"},
        "context",
        "deeper",
    ),
    "many keys": (
        {"context_as": "json", "context": json.dumps({f"k{n}": n for n in range(1001)})},
        "context",
        "keys",
    ),
    "a long template": ({"template": "é" * 140_000}, "template", "longer than"),
    "options that are no object": ({"options": "[1]"}, "options", "must be an object"),
    "a temperature in words": ({"temperature": "hot"}, "temperature", "Give a number"),
    "half a token": ({"max_tokens": "1.5"}, "max_tokens", "whole number"),
    "a schema that is none": (
        {"format": "json", "response_schema": '{"type": 5}'},
        "response_schema",
        "response_schema",
    ),
    "a schema that is no JSON": (
        {"format": "json", "response_schema": "{"},
        "response_schema",
        "not JSON",
    ),
    "messages that are none": (
        {"template": "", "messages": '[{"role": "boss", "content": "x"}]'},
        "messages",
        "Invalid messages",
    ),
    "template and messages": (
        {"messages": '[{"role": "user", "content": "x"}]'},
        "messages",
        "not both",
    ),
    "a time that is none": ({"run_at": "tomorrow"}, "run_at", "RFC 3339"),
    "a day that is none": ({"run_at": "2031-02-31T09:05"}, "run_at", "exists"),
    "fetchers that are none": ({"fetchers": "1"}, "fetchers", "a list or an object"),
    "fetchers of numbers": ({"fetchers": "[1]"}, "fetchers", "etcher"),
    "a fetcher nobody knows": ({"fetchers": '["nobody"]'}, "fetchers", "nobody"),
    "metadata that is no object": ({"metadata": '"x"'}, "metadata", "must be an object"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_beside_its_field_and_nothing_is_lost(
    house: House, alice: Visitor, mistake: str
) -> None:
    changes, name, words = MISTAKES[mistake]
    typed = {"metadata": '{"kept": 1}', **changes}
    answer = sent(alice, **typed)
    status = 422 if mistake == "unclosed tag" else 400
    refused(answer, house, status)
    said = answer.text.split(f'name="{name}"', 1)[1].split('<p class="field-error"', 1)[1]
    assert words in said.split("</p>", 1)[0]
    for kept, value in typed.items():
        if kept not in ("json:concept", "context_as", "format", "queue", "model"):
            assert field(answer, kept) == value


def test_a_missing_variable_is_refused_where_that_was_asked_for(
    house: House, alice: Visitor
) -> None:
    answer = sent(alice, strict="yes", **{"value:concept": ""})
    refused(answer, house, 422)
    assert "Missing required variables: concept" in answer.text


def test_five_megabytes_are_refused_in_words(house: House, alice: Visitor) -> None:
    answer = sent(alice, template="x" * 5_000_000)
    assert answer.status_code == 413
    assert "too large" in answer.text
    assert answer.mimetype == "text/html"
    assert rows(house) == []


def test_thousands_of_variables_have_no_fields_and_cost_no_time(
    house: House, alice: Visitor
) -> None:
    template = " ".join(f"{{{{v{number}}}}}" for number in range(20_000))
    started = time.process_time()
    answer = alice.post(NEW, data={**FORM, "template": template, "do": "preview"})
    assert time.process_time() - started < 10
    assert answer.status_code == 200
    assert answer.text.count('data-variable="v') == 100
    many = {f"value:v{number}": "x" for number in range(1_001)}
    refused(sent(alice, template=template, **many), house)


def test_what_people_write_is_text(alice: Visitor) -> None:
    evil = "</textarea><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    name = "x<b>y"
    answer = alice.post(
        NEW,
        data={
            "do": "preview",
            "template": evil + "{{" + name + "}}",
            f"value:{name}": evil,
            "model": "simulator/echo",
            "system": evil,
            "context": json.dumps({evil: evil}),
            "key": evil,
            "models": evil,
        },
    )
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text
    assert "<b>y" not in answer.text
    assert field(answer, f"value:{name}".replace("<", "&lt;").replace(">", "&gt;")) == evil


def test_an_example_is_offered_to_who_never_submitted(house: House, alice: Visitor) -> None:
    assert "Run an example" in alice.get(NEW).text
    house.submit()
    assert "Run an example" not in alice.get(NEW).text


def test_models_of_vendors_without_a_key_say_so(alice: Visitor) -> None:
    page = alice.get(NEW).text
    assert "set OPENAI_API_KEY for the real one" in page


def test_models_without_a_key_cannot_be_chosen_where_nothing_stands_in(
    sqlite_databases: SQLiteDatabases, tmp_path: Path, redis_url: str
) -> None:
    url = sqlite_databases.migrated(tmp_path / "llm_jobs.db")
    with open_house(url, redis_url, LLM_JOBS_SIMULATE_MISSING=False) as house:
        alice = signed_in(house, house.alice)
        page = alice.get(NEW).text
        assert '<optgroup label="openai — not configured: set OPENAI_API_KEY">' in page
        assert '<option value="gpt-4" disabled>' in page
        assert '<option value="simulator/echo" selected>' in page
        answer = refused(sent(alice, model="gpt-4"), house)
        assert "Unsupported model: gpt-4 (set OPENAI_API_KEY)" in answer.text


# --- comparing ------------------------------------------------------------------------------------

THREE = {"do": "compare", "models": ["simulator/a", "simulator/b"]}


def compared(one: Visitor, **changes: Any) -> TestResponse:
    return sent(one, **{**THREE, **changes})


def test_a_comparison_asks_every_model_once(house: House, alice: Visitor) -> None:
    answer = compared(alice, more_models="simulator/c\n simulator/a \n", metadata='{"t": 1}')
    made = rows(house)
    assert [row.model_name for row in made] == [
        "simulator/echo",
        "simulator/a",
        "simulator/b",
        "simulator/c",
    ]
    assert len({row.metadata_["compare"] for row in made if row.metadata_}) == 1
    assert all(row.metadata_ and row.metadata_["t"] == 1 for row in made)
    assert answer.status_code == 303
    page = alice.get(answer.location)
    assert page.status_code == 200
    assert all(row.model_name in page.text for row in made)


def test_a_comparison_sent_twice_is_one(house: House, alice: Visitor) -> None:
    first, second = compared(alice), compared(alice)
    assert len(rows(house)) == 3
    assert first.location == second.location


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": []}, "Choose 2 to 8 models"),
        ({"models": [f"simulator/{n}" for n in range(8)]}, "Choose 2 to 8 models"),
        ({"models": ["mystery-1"]}, "Unsupported model: mystery-1"),
    ],
)
def test_a_comparison_is_accepted_whole_or_not_at_all(
    house: House, alice: Visitor, changes: dict[str, Any], words: str
) -> None:
    assert words in refused(compared(alice, **changes), house).text


def test_a_comparison_is_its_owners(house: House, alice: Visitor) -> None:
    address = compared(alice).location
    path, _, query = address.partition("?")
    first = rows(house)[0].id
    bob = signed_in(house, house.bob)
    for asked in (address, f"{path}/answers/{first}?{query}"):
        assert alice.get(asked).status_code == 200
        assert bob.get(asked).status_code == 404
        assert visitor(house).get(asked).status_code == 303
    assert signed_in(house, house.ada).get(address).status_code == 200


@pytest.mark.parametrize("ids", ["", "0", "1,1", "x", "1,", "-1", "9" * 500, "1,2,3,4,5,6,7,8,9"])
def test_a_comparison_of_odd_rows_is_unknown(house: House, alice: Visitor, ids: str) -> None:
    path = compared(alice).location.partition("?")[0]
    assert alice.get(path, query_string={"ids": ids}).status_code == 404


def test_rows_that_were_never_compared_are_not_shown_together(house: House, alice: Visitor) -> None:
    address = compared(alice).location
    other = house.submit()["output_id"]
    path, _, ids = address.partition("?ids=")
    assert alice.get(f"{path}?ids={ids},{other}").status_code == 404
    assert alice.get(f"{path}/answers/{other}?ids={ids}").status_code == 404
    assert alice.get(f"/compare/{'0' * 8}?ids={other}").status_code == 404


def test_an_answer_asks_for_itself_until_it_has_ended(house: House, alice: Visitor) -> None:
    path, _, query = compared(alice).location.partition("?")
    row = rows(house)[0]
    asked = f"{path}/answers/{row.id}?{query}"
    assert 'hx-trigger="every 2s"' in alice.get(asked).text
    house.complete({"output_id": row.id, "job_id": row.job_id}, "<script>alert(1)</script>")
    ended = alice.get(asked).text
    assert "every 2s" not in ended
    assert "1 of 3 have ended" in ended
    assert "&lt;script&gt;alert" in ended


def test_no_rows_at_all_were_made_by_looking(house: House, alice: Visitor) -> None:
    with house.database.read() as session:
        assert session.scalar(select(func.count()).select_from(LLMOutput)) == 0
    alice.get(NEW)
    assert rows(house) == []


# A saved prompt instead of a template

SAVED: dict[str, Any] = {
    "name": "greet",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello {{who}}: <itemvalue>subject</itemvalue>"},
    ],
    "model": "simulator/echo",
    "options": {"temperature": 0},
}
PICKED = {"template": "", "model": "", "prompt": "greet", "value:who": "Ann"}


def save(house: House, person: Person, **changes: Any) -> None:
    answer = house.post("/api/v1/prompts", as_=person, json={**SAVED, **changes})
    assert answer.status_code == 201, answer.text


def test_a_saved_prompt_brings_its_variables_its_model_and_its_messages(
    house: House, alice: Visitor
) -> None:
    save(house, house.alice)
    page = alice.get(f"{NEW}?prompt=greet@latest")
    assert field(page, "value:who") == ""
    assert "Without a value: <code>who</code>" in page.text
    data = {**PICKED, "workitem": '{"subject": "March"}', "do": "preview"}
    seen = alice.post(NEW, data=data).text
    assert "Hello Ann: March" in seen
    assert "&#34;temperature&#34;: 0" in seen
    assert sent(alice, **{**data, "do": "submit"}).status_code == 303
    (row,) = rows(house)
    assert (row.prompt_name, row.prompt_version) == ("greet", 1)
    assert (row.model_name, row.context) == ("simulator/echo", {"who": "Ann"})
    assert row.workitem == {"subject": ["March"]}


def test_choosing_a_prompt_leaves_the_model_to_it(house: House, alice: Visitor) -> None:
    save(house, house.alice)
    page = alice.post(NEW, data={"prompt": "greet", "model": "gpt-4", "do": "choose"})
    assert '<option value="gpt-4" selected>' not in page.text
    assert field(page, "value:who") == ""


def test_files_are_read_for_the_prompt(house: House, alice: Visitor) -> None:
    content = "About <FILECONTEXT>.*txt</FILECONTEXT>"
    save(house, house.alice, messages=[{"role": "user", "content": content}])
    data = {**PICKED, "files": (BytesIO(b"the tides"), "way/to/a.txt")}
    assert alice.post(NEW, data={**data, "key": "f1"}).status_code == 303
    with house.database.read() as session:
        ((files, texts),) = session.execute(select(LLMOutput.files, LLMOutput.file_texts)).all()
    assert ([file["name"] for file in files], texts) == (["a.txt"], ["the tides"])


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"prompt": "nobody"}, "prompt", "Unknown prompt"),
        ({"prompt": "greet@7"}, "prompt", "7"),
        ({"workitem": "{x"}, "workitem", "not JSON"),
        ({"workitem": "[1]"}, "workitem", "object of items"),
        ({"files": b"\x89PNG\r\n\x1a\n\x00\x00"}, "files", "looks like"),
    ],
)
def test_a_mistake_with_a_saved_prompt_is_named_beside_its_field(
    house: House, alice: Visitor, changes: dict[str, Any], name: str, words: str
) -> None:
    save(house, house.alice)
    if "files" in changes:
        changes = {"files": (BytesIO(changes["files"]), "a.png")}
    answer = sent(alice, **{**PICKED, "metadata": '{"kept": 1}', **changes})
    assert answer.status_code in (400, 404, 422)
    assert rows(house) == []
    said = answer.text.partition(f'class="field-error" id="e-{name}">')[2]
    assert words in said.partition("</p>")[0]
    assert field(answer, "metadata") == '{"kept": 1}'
    assert field(answer, "value:who") == "Ann"


def test_the_picker_offers_ones_own_and_shared_prompts_only(house: House, alice: Visitor) -> None:
    save(house, house.alice, name="mine")
    for name in ("mine", "common", "secret"):
        save(house, house.bob, name=name)
    for name in ("mine", "common"):
        share = {"json": {"shared": True}}
        assert house.call("PATCH", f"/api/v1/prompts/{name}", as_=house.bob, **share)
    label = {"label": "production", "version": 1}
    assert house.post("/api/v1/prompts/mine/labels", as_=house.alice, json=label)
    text = alice.get(NEW).text
    assert text.count('<option value="mine"') == 1
    assert '<option value="mine@production"' in text
    assert '<option value="common"' in text
    assert "secret" not in text
    assert sent(alice, **{**PICKED, "prompt": "secret"}).status_code == 404


def test_an_output_of_a_prompt_is_used_as_that_prompt(house: House, alice: Visitor) -> None:
    save(house, house.alice)
    asked = {"prompt": "greet", "context": {"who": "Ann"}, "workitem": {"subject": "x"}}
    made = house.post("/api/v1/llm_jobs", as_=house.alice, json=asked).get_json()
    page = alice.get(f"{NEW}?from={made['output_id']}")
    assert '<option value="greet@1" selected>' in page.text
    assert field(page, "value:who") == "Ann"
    assert json.loads(field(page, "workitem")) == {"subject": ["x"]}
