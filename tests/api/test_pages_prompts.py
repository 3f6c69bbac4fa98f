"""The pages of prompts without a browser: the list, one prompt, its acts, the editor, imports."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api.house import House, Person
from tests.api.visiting import Visitor, field, signed_in

API = "/api/v1/prompts"
NEW = "/prompts/new"
IMPORT = "/prompts/import"
TYPED: dict[str, Any] = {
    "name": "greet",
    "description": "Greets",
    "mode": "PROMPT",
    "role": ["system", "user"],
    "content": ["Be kind.", "Hello {{who.name}}, <itemvalue>subject</itemvalue>"],
    "options": '{"temperature": 0.5}',
    "model": "simulator/echo",
    "result_item": "greeting",
    "result_event": "TEXT",
    "debug": "yes",
}
TWO_STEPS = """\
name: chain
steps:
- mode: PROMPT
  messages:
  - {role: user, content: 'First {{a}}'}
- mode: PROMPT
  messages:
  - {role: user, content: Second}
"""


@pytest.fixture
def alice(house: House) -> Visitor:
    return signed_in(house, house.alice)


def store(house: House, text: str = "Hello", *, as_: Person | None = None, **more: Any) -> None:
    query = "?publish=false" if more.pop("draft", False) else ""
    definition = {"name": "greet", "messages": [{"role": "user", "content": text}], **more}
    answer = house.post(API + query, as_=as_ or house.alice, json=definition)
    assert answer.status_code == 201, answer.text


def told(house: House, reference: str = "greet", as_: Person | None = None) -> dict[str, Any]:
    answer = house.get(f"{API}/{reference}", as_=as_ or house.alice)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def share(house: House, name: str, as_: Person) -> None:
    answer = house.call("PATCH", f"{API}/{name}", as_=as_, json={"shared": True})
    assert answer.status_code == 200, answer.text


def fault(answer: TestResponse, name: str) -> str:
    """The sentence below a field."""
    found = answer.text.partition(f'class="field-error" id="e-{name}">')[2]
    assert found, answer.text[-6000:]
    return found.partition("<")[0]


# The list


def test_the_list_shows_ones_own_prompts_and_shared_ones(house: House, alice: Visitor) -> None:
    store(house, name="mine", description="About tides")
    store(house, name="bobs", as_=house.bob)
    store(house, name="secret", as_=house.bob)
    share(house, "bobs", house.bob)
    text = alice.get("/prompts").text
    assert ">mine</a>" in text
    assert ">bobs</a>" in text
    assert "secret" not in text
    found = alice.get("/prompts?q=TIDES").text
    assert ">mine</a>" in found
    assert ">bobs</a>" not in found
    assert ">mine</a>" not in alice.get("/prompts?shared=yes").text
    assert "No prompt matches" in alice.get("/prompts?label=production").text
    assert ">secret</a>" in signed_in(house, house.ada).get("/prompts?all=1").text
    assert "secret" not in alice.get("/prompts?all=1").text


def test_a_filter_that_cannot_be_one_is_refused_beside_it(alice: Visitor) -> None:
    answer = alice.get("/prompts?label=latest")
    assert answer.status_code == 400
    assert 'id="h-label">Invalid label' in answer.text


# One prompt


def test_a_prompt_shows_the_version_one_asks_for(house: House, alice: Visitor) -> None:
    store(house, "First {{who}}")
    store(house, "Second", options={"top_p": 0.9})
    assert "Second" in alice.get("/prompts/greet").text
    first = alice.get("/prompts/greet?version=1")
    assert "First {{who}}" in first.text
    assert "<code>who</code>" in first.text
    assert "First {{who}}" in alice.get("/prompts/greet@1").text
    assert alice.get("/prompts/greet?version=7").status_code == 404


def test_a_prompt_named_like_a_page_has_a_page(house: House, alice: Visitor) -> None:
    store(house, "I am new", name="new")
    assert 'href="/prompts/new@latest"' in alice.get("/prompts").text
    assert "I am new" in alice.get("/prompts/new@latest").text


def test_a_strangers_private_prompt_is_unknown_on_every_page(house: House, alice: Visitor) -> None:
    store(house, "bob's words", as_=house.bob)
    owner = f"?user_id={house.bob.user_id}"
    for path in ("", "/diff", "/edit", "/archive", "/download/json"):
        for query in ("", owner):
            assert alice.get(f"/prompts/greet{path}{query}").status_code == 404
    for path in ("publish", "discard", "labels", "labels/remove", "roll-back", "share", "archive"):
        assert alice.post(f"/prompts/greet/{path}{owner}").status_code == 404
    assert alice.get(f"{NEW}?from=greet").status_code == 404
    assert alice.get(f"/prompts/greet{owner}&version=draft").status_code == 404


def test_a_shared_prompt_can_be_read_and_copied_but_not_changed(
    house: House, alice: Visitor
) -> None:
    store(house, "Shared words", as_=house.bob)
    store(house, "Draft words", as_=house.bob, draft=True)
    share(house, "greet", house.bob)
    page = alice.get("/prompts/greet").text
    assert "Shared words" in page
    assert "Draft words" not in page
    assert "/prompts/greet/edit" not in page
    assert "/prompts/greet/share" not in page
    assert "Shared words" in field(alice.get(f"{NEW}?from=greet@latest"), "content")
    assert alice.get("/prompts/greet/edit").status_code == 403
    for path in ("edit", "publish", "discard", "labels/remove", "roll-back", "share", "archive"):
        assert alice.post(f"/prompts/greet/{path}", data={"do": "publish"}).status_code == 403
    assert told(house, as_=house.bob)["draft"] == 2


def test_an_administrator_finds_anothers_prompt_by_its_owner(house: House) -> None:
    store(house, "alice's words")
    ada = signed_in(house, house.ada)
    owner = f"?user_id={house.alice.user_id}"
    assert ada.get("/prompts/greet").status_code == 404
    assert "alice&#39;s words" in ada.get(f"/prompts/greet{owner}").text
    data = {**TYPED, "do": "publish"}
    assert ada.post(f"/prompts/greet/edit{owner}", data=data).location == f"/prompts/greet{owner}"
    assert told(house)["version"] == 2
    for forged in ("x", "-1", "٣", "9" * 30):
        assert ada.get(f"/prompts/greet?user_id={forged}").status_code == 404


@pytest.mark.parametrize("word", ["json", "yaml", "xml"])
def test_a_downloaded_prompt_can_be_imported_again(house: House, alice: Visitor, word: str) -> None:
    store(house, "Hello {{who}} & <b>all</b>\n", options={"temperature": 0})
    with alice.get(f"/prompts/greet/download/{word}?version=1") as answer:
        assert answer.headers["Content-Disposition"] == f'attachment; filename="greet-1.{word}"'
        data = answer.data
    before = told(house)["definition"]
    sent = {"file": (BytesIO(data), f"greet.{word}"), "do": "look"}
    assert "version 1 says so" in alice.post(IMPORT, data=sent).text
    assert told(house)["definition"] == before


def test_what_ran_a_prompt_is_linked(house: House, alice: Visitor) -> None:
    store(house, model="simulator/echo")
    store(house, name="helper", mode="ASSISTANT", task="greet@1")
    made = house.post("/api/v1/llm_jobs", as_=house.alice, json={"prompt": "greet"}).get_json()
    text = alice.get("/prompts/greet").text
    assert f'href="/llm_outputs/{made["output_id"]}"' in text
    assert 'href="/prompts/helper"' in text


# Acts


def test_a_label_is_set_moved_rolled_back_and_removed(house: House, alice: Visitor) -> None:
    store(house, "one")
    store(house, "two")
    for version in ("1", "2"):
        data = {"label": "production", "version": version}
        assert alice.post("/prompts/greet/labels", data=data).status_code == 303
    assert told(house)["labels"] == {"production": 2}
    alice.post("/prompts/greet/roll-back", data={"label": "production"})
    assert told(house)["labels"] == {"production": 1}
    alice.post("/prompts/greet/labels/remove", data={"label": "production"})
    assert told(house)["labels"] == {}


def test_without_a_label_an_earlier_version_is_published_again(
    house: House, alice: Visitor
) -> None:
    store(house, "one")
    store(house, "two")
    alice.post("/prompts/greet/roll-back", data={"version": "1"})
    now = told(house)
    assert (now["version"], now["definition"]["messages"][0]["content"]) == (3, "one")


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("publish", {}, 409),
        ("discard", {}, 409),
        ("roll-back", {}, 409),
        ("labels", {"label": "latest", "version": "1"}, 400),
        ("labels", {"label": "production", "version": "x"}, 400),
        ("labels", {"label": "production", "version": "9"}, 409),
        ("labels/remove", {"label": "production"}, 409),
    ],
)
def test_an_act_that_is_refused_says_why_on_the_prompts_page(
    house: House, alice: Visitor, path: str, data: dict[str, str], status: int
) -> None:
    store(house)
    before = told(house)
    answer = alice.post(f"/prompts/greet/{path}", data=data)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert "<h1>greet</h1>" in answer.text
    assert told(house) == before


def test_sharing_and_archiving_are_undone_and_asked_for(house: House, alice: Visitor) -> None:
    store(house)
    alice.post("/prompts/greet/share", data={"shared": "yes"})
    assert told(house, as_=house.bob)["shared"] is True
    alice.post("/prompts/greet/share", data={"shared": "no"})
    assert told(house)["shared"] is False
    assert "Archive greet?" in alice.get("/prompts/greet/archive").text
    assert told(house)["name"] == "greet"
    assert alice.post("/prompts/greet/archive").location == "/prompts"
    assert alice.get("/prompts/greet").status_code == 404


def test_discarding_the_only_draft_takes_the_prompt_away(house: House, alice: Visitor) -> None:
    store(house, draft=True)
    assert alice.post("/prompts/greet/discard").location == "/prompts"
    assert alice.get("/prompts/greet").status_code == 404


# The editor


def test_the_form_stores_everything_it_can_say(house: House, alice: Visitor) -> None:
    answer = alice.post(NEW, data={**TYPED, "do": "publish"})
    assert answer.location == "/prompts/greet"
    assert told(house)["definition"] == {
        "name": "greet",
        "description": "Greets",
        "mode": "PROMPT",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": TYPED["content"][1]},
        ],
        "options": {"temperature": 0.5},
        "model": "simulator/echo",
        "result_item": "greeting",
        "result_event": "TEXT",
        "debug": True,
    }


def test_a_draft_is_saved_and_published_from_its_page(house: House, alice: Visitor) -> None:
    store(house, "published")
    data = {**TYPED, "do": "draft"}
    assert alice.post("/prompts/greet/edit", data=data).location == "/prompts/greet?version=draft"
    now = told(house)
    assert (now["version"], now["draft"]) == (1, 2)
    assert field(alice.get("/prompts/greet/edit"), "content") == "Be kind."
    alice.post("/prompts/greet/publish")
    assert told(house)["version"] == 2


def test_a_new_prompt_does_not_become_a_version_of_an_old_one(house: House, alice: Visitor) -> None:
    store(house)
    answer = alice.post(NEW, data={**TYPED, "do": "publish"})
    assert answer.status_code == 400
    assert "You have a prompt named greet" in fault(answer, "name")
    assert told(house)["version"] == 1


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no name": ({"name": ""}, "name", "Missing required parameter: name"),
    "a name that is none": ({"name": "a b"}, "name", "Invalid name"),
    "an open variable": ({"content": ["ok", "so\n {{who"]}, "content-1", "line 2, column 2"),
    "an open tag": ({"content": ["ok", "<itemvalue>x"]}, "content-1", "line 1"),
    "a role that is none": ({"role": ["boss", "user"]}, "content-0", "Invalid role"),
    "nothing asked": ({"content": ["", ""]}, "content-0", "At least one message"),
    "options that are none": ({"options": "{\n x"}, "options", "line 2, column 2"),
    "options that are a list": ({"options": "[1]"}, "options", "must be an object"),
    "a schema without json": (
        {"response_schema": '{"type": "object"}'},
        "response_schema",
        "needs the format",
    ),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_mistake_is_named_beside_its_field_and_nothing_is_lost(
    house: House, alice: Visitor, mistake: str
) -> None:
    changes, name, words = MISTAKES[mistake]
    typed = {**TYPED, **changes, "value:who.name": "Ann", "workitem": '{"subject": "x"}'}
    answer = alice.post(NEW, data={**typed, "do": "publish"})
    assert answer.status_code in (400, 422)
    assert words in fault(answer, name)
    for kept in ("description", "options", "model", "result_item", "workitem"):
        assert field(answer, kept) == typed[kept]
    assert house.get(API, as_=house.alice).get_json()["data"] == []


def test_messages_come_and_go_without_scripts(alice: Visitor) -> None:
    more = alice.post(NEW, data={**TYPED, "do": "add"}).text
    assert more.count('name="content"') == 4  # one of them in the script's template
    less = alice.post(NEW, data={**TYPED, "do": "remove-0"})
    assert less.text.count('name="content"') == 2
    assert field(less, "content") == TYPED["content"][1]


def test_fields_become_yaml_and_yaml_fields(house: House, alice: Visitor) -> None:
    answer = alice.post(NEW, data={**TYPED, "do": "as-yaml"})
    text = field(answer, "yaml")
    assert "result_item: greeting" in text
    again = alice.post(NEW, data={"written_as": "yaml", "yaml": text, "do": "as-fields"})
    assert field(again, "options") == '{\n  "temperature": 0.5\n}'
    assert field(again, "name") == "greet"


def test_yaml_says_what_fields_cannot(house: House, alice: Visitor) -> None:
    data = {"written_as": "yaml", "yaml": TWO_STEPS, "do": "as-fields"}
    kept = alice.post(NEW, data=data)
    assert kept.status_code == 422
    assert field(kept, "yaml") == TWO_STEPS
    assert "keep the YAML" in fault(kept, "yaml")
    assert alice.post(NEW, data={**data, "do": "publish"}).location == "/prompts/chain"
    assert len(told(house, "chain")["definition"]["steps"]) == 2
    assert "Step 2 of 2" in alice.get("/prompts/chain").text
    assert "steps:" in field(alice.get("/prompts/chain/edit"), "yaml")


def test_yaml_that_cannot_be_read_says_where(alice: Visitor) -> None:
    data = {"written_as": "yaml", "yaml": "name: x\nmessages: [", "do": "publish"}
    answer = alice.post(NEW, data=data)
    assert answer.status_code == 422
    assert "line 3, column 1" in fault(answer, "yaml")
    assert field(answer, "yaml") == data["yaml"]


def test_a_prompt_keeps_its_name(house: House, alice: Visitor) -> None:
    store(house)
    renamed = {"written_as": "yaml", "yaml": TWO_STEPS, "do": "publish"}
    answer = alice.post("/prompts/greet/edit", data=renamed)
    assert "stays greet" in fault(answer, "yaml")
    assert told(house)["version"] == 1


def test_the_preview_shows_what_would_be_sent_and_stores_nothing(
    house: House, alice: Visitor
) -> None:
    values = {"value:who.name": "Ann", "workitem": '{"subject": ["March", "April"]}'}
    text = alice.post(f"{NEW}/preview", data={**TYPED, **values}).text
    assert "Hello Ann, March" in text
    assert "&#34;temperature&#34;: 0.5" in text
    assert 'data-variables="[&#34;who.name&#34;]"' in text
    assert house.get(API, as_=house.alice).get_json()["data"] == []
    assert house.get("/api/v1/llm_outputs", as_=house.alice).get_json()["data"] == []


def test_the_preview_reads_a_sample_file(alice: Visitor) -> None:
    data = {**TYPED, "content": ["x", "<FILECONTEXT>.*</FILECONTEXT>"], "file_text": "Of a file"}
    assert "Of a file" in alice.post(f"{NEW}/preview", data=data).text
    assert "Not ready yet" in alice.post(f"{NEW}/preview", data={**data, "file_text": ""}).text


def test_the_preview_of_a_definition_without_a_model_names_one(alice: Visitor) -> None:
    data = {**TYPED, "model": "", "value:who.name": "Ann"}
    text = alice.post(f"{NEW}/preview", data=data).text
    assert "Hello Ann" in text


# Diffs


def test_two_versions_are_compared(house: House, alice: Visitor) -> None:
    store(house, "Hello world")
    store(house, "Hello moon", options={"temperature": 1})
    text = alice.get("/prompts/greet/diff?from=1&to=2").text
    assert "<del>world" in text
    assert "<ins>moon" in text
    assert "messages[0].content" in text
    assert "options" in text
    assert alice.get("/prompts/greet/diff").status_code == 200
    assert "Both say the same" in alice.get("/prompts/greet/diff?from=2&to=2").text
    assert alice.get("/prompts/greet/diff?from=9").status_code == 404


# Importing


def written(*definitions: dict[str, Any]) -> str:
    return json.dumps(list(definitions))


def test_an_import_is_shown_before_it_is_stored(house: House, alice: Visitor) -> None:
    store(house, "same")
    store(house, "old", name="other")
    sent = [
        {"name": name, "messages": [{"role": "user", "content": text}]}
        for name, text in (("greet", "same"), ("other", "changed"), ("fresh", "x"))
    ]
    sent[2]["result_event"] = "NOBODY"
    look = alice.post(IMPORT, data={"text": written(*sent), "do": "look"})
    assert "version 1 says so" in look.text
    assert "version 2" in look.text
    assert "no handler for the result event NOBODY" in look.text
    assert told(house, "other")["version"] == 1
    data = {"do": "store", "definitions": field(look, "definitions")}
    assert alice.post(IMPORT, data=data).location == "/prompts"
    assert told(house, "other")["version"] == 2
    assert told(house, "greet")["version"] == 1
    assert told(house, "fresh")["version"] == 1


def test_drafts_are_imported_as_drafts(house: House, alice: Visitor) -> None:
    look = alice.post(IMPORT, data={"text": TWO_STEPS, "draft": "yes", "do": "look"})
    data = {"do": "store", "definitions": field(look, "definitions"), "draft": "yes"}
    alice.post(IMPORT, data=data)
    assert told(house, "chain@draft")["published_at"] is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "Choose a file"),
        ({"text": "name: x\nmessages: ["}, "line 3, column 1"),
        ({"text": "<PromptDefinition/>"}, "prompt"),
        ({"file": b"x"}, "must end in"),
        ({"do": "store", "definitions": "[{}]"}, "Nothing was stored"),
        ({"do": "store"}, "Nothing was stored"),
    ],
)
def test_an_import_that_cannot_be_read_stores_nothing_and_says_where(
    house: House, alice: Visitor, data: dict[str, Any], words: str
) -> None:
    if "file" in data:
        data = {"file": (BytesIO(data["file"]), "x.txt")}
    answer = alice.post(IMPORT, data={**data, "name": "kept"})
    assert answer.status_code in (400, 422)
    assert words in answer.text
    assert field(answer, "name") == "kept"
    assert house.get(API, as_=house.alice).get_json()["data"] == []
