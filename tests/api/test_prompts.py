"""The library of prompts over HTTP: every way to write a definition, versions, labels, sharing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.house import House, Person

PROMPTS = "/api/v1/prompts"
GREET: dict[str, Any] = {
    "name": "greet",
    "description": "Greets somebody",
    "mode": "PROMPT",
    "messages": [
        {"role": "system", "content": "You are kind.\n  Really."},
        {"role": "user", "content": "Hello {{who}}, <itemvalue>subject</itemvalue>"},
    ],
    "options": {"temperature": 0},
}
YAML = """\
name: greet
messages:
  - role: user
    content: |
      Hello {{who}}
"""
XML = """\
<PromptDefinition>
  <prompt_options>{"n_predict": 16}</prompt_options>
  <prompt role="system"><![CDATA[You are <b>kind</b>.]]></prompt>
  <prompt role="user">Hello <itemvalue>who</itemvalue></prompt>
</PromptDefinition>
"""
MODELS = Path(__file__).parents[1] / "data" / "imixs"


def greet(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"name": "greet", "messages": [{"role": "user", "content": text}], **more}


def put(house: House, text: str = "Hello", *, as_: Person | None = None, query: str = "") -> Any:
    answer = house.post(PROMPTS + query, as_=as_ or house.alice, json=greet(text))
    assert answer.status_code == 201, answer.text
    return answer.get_json()["data"][0]


def send(house: House, text: str | bytes, media_type: str, query: str = "") -> Any:
    return house.post(PROMPTS + query, as_=house.alice, data=text, content_type=media_type)


def form(house: House, *files: tuple[str, bytes], query: str = "", field: str = "file") -> Any:
    head = 'Content-Disposition: form-data; name="{}"; filename="{}"\r\n\r\n'
    parts = [head.format(field, name).encode() + content for name, content in files]
    body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return send(house, body, "multipart/form-data; boundary=edge", query)


# Importing


def test_a_definition_is_stored_and_told_whole(house: House) -> None:
    answer = house.post(PROMPTS, as_=house.alice, json=GREET)
    assert answer.status_code == 201
    body = answer.get_json()
    (stored,) = body["data"]
    assert body["warnings"] == []
    assert stored["definition"] == GREET
    expected = {
        "name": "greet",
        "version": 1,
        "description": "Greets somebody",
        "variables": ["who"],
        "items": ["subject"],
        "properties": [],
        "file_patterns": [],
        "labels": {},
        "latest": 1,
        "draft": None,
        "shared": False,
        "owner": {"id": house.alice.user_id, "name": "alice"},
        "author": {"id": house.alice.user_id, "name": "alice"},
        "unchanged": False,
    }
    assert {name: stored[name] for name in expected} == expected
    assert stored["published_at"] is not None
    assert house.get(f"{PROMPTS}/greet", as_=house.alice).get_json()["definition"] == GREET


@pytest.mark.parametrize("media_type", ["application/yaml", "text/yaml", "application/x-yaml"])
def test_yaml_is_stored_like_json(house: House, media_type: str) -> None:
    stored = send(house, YAML, media_type).get_json()["data"][0]
    again = put(house, "Hello {{who}}\n")
    assert stored["definition"] == again["definition"]
    assert again["unchanged"]


@pytest.mark.parametrize("media_type", ["application/xml", "text/xml"])
def test_xml_is_stored_like_json(house: House, media_type: str) -> None:
    stored = send(house, XML, media_type, "?name=greet").get_json()["data"][0]
    assert stored["definition"] == {
        "name": "greet",
        "mode": "PROMPT",
        "messages": [
            {"role": "system", "content": "You are <b>kind</b>."},
            {"role": "user", "content": "Hello <itemvalue>who</itemvalue>"},
        ],
        "options": {"n_predict": 16},
    }
    assert stored["items"] == ["who"]


def test_a_file_is_told_by_its_name_and_names_what_has_none(house: House) -> None:
    answer = form(
        house,
        ("Greet everybody.xml", XML.encode()),
        ("b.yaml", YAML.encode()),
        ("c.JSON", json.dumps(GREET | {"name": "c"}).encode()),
    )
    assert answer.status_code == 201, answer.text
    names = [stored["name"] for stored in answer.get_json()["data"]]
    assert names == ["Greet-everybody", "greet", "c"]


@pytest.mark.parametrize("ending", [".bpmn", ".xml"])
def test_a_model_gives_a_prompt_for_each_of_its_definitions(house: House, ending: str) -> None:
    model = next(MODELS.glob("*.bpmn"))
    answer = form(house, (f"model{ending}", model.read_bytes()))
    assert answer.status_code == 201, answer.text
    stored = answer.get_json()["data"]
    assert len(stored) > 1
    listed = house.get(f"{PROMPTS}?limit=100", as_=house.alice).get_json()["data"]
    assert {line["name"] for line in listed} == {one["name"] for one in stored}


def test_a_model_sent_as_xml_is_known_by_what_it_says(house: House) -> None:
    model = next(MODELS.glob("*.bpmn")).read_bytes()
    assert send(house, model, "application/xml").status_code == 201


def test_several_definitions_are_all_stored_or_none(house: House) -> None:
    good, bad = GREET, greet("<itemvalue>open", name="bad")
    answer = house.post(PROMPTS, as_=house.alice, json=[good, bad])
    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (422, "ERROR_LLM_PROMPT_TEMPLATE")
    assert (body["line"], body["column"]) == (1, 1)
    assert body["errors"][0]["pointer"] == "/1/messages/0/content"
    assert house.get(PROMPTS, as_=house.alice).get_json()["data"] == []
    both = house.post(PROMPTS, as_=house.alice, json=[good, {**good, "name": "other"}])
    assert [stored["name"] for stored in both.get_json()["data"]] == ["greet", "other"]


@pytest.mark.parametrize(
    ("text", "media_type", "status", "code"),
    [
        ("", "application/json", 422, "ERROR_LLM_PROMPT_TEMPLATE"),
        ("{", "application/json", 400, "invalid_request"),
        ('{"name": "a", "name": "b"}', "application/json", 400, "invalid_request"),
        ('{"name": "a\\u0000"}', "application/json", 400, "invalid_request"),
        ('{"messages": [{"content": "x"}]}', "application/json", 400, "missing_parameter"),
        ('{"name": "x", "messages": [{"role": "boss", "content": "x"}]}', "application/json", 422,
         "ERROR_INVALID_PARAMETER"),
        ('{"name": "x", "content": "x"}', "application/json", 422, "ERROR_INVALID_PARAMETER"),
        ('{"name": "a b", "messages": [{"content": "x"}]}', "application/json", 422,
         "ERROR_INVALID_PARAMETER"),
        ("name: &a x\nmessages: *a", "application/yaml", 422, "ERROR_LLM_PROMPT_TEMPLATE"),
        ("a: [", "application/yaml", 422, "ERROR_LLM_PROMPT_TEMPLATE"),
        ("<PromptDefinition>", "application/xml", 422, "ERROR_LLM_PROMPT_TEMPLATE"),
        ("<PromptDefinition/>", "application/xml", 422, "ERROR_LLM_PROMPT_TEMPLATE"),
        ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><PromptDefinition/>",
         "application/xml", 422, "ERROR_LLM_PROMPT_TEMPLATE"),
        ("name: x", "text/plain", 415, "unsupported_media_type"),
        ("x", "multipart/form-data", 400, "invalid_request"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_code(
    house: House, text: str, media_type: str, status: int, code: str
) -> None:
    answer = send(house, text, media_type)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert house.get(PROMPTS, as_=house.alice).get_json()["data"] == []


def test_a_form_needs_files_whose_names_say_what_they_are(house: House) -> None:
    for files, field, sentence in (
        ([], "file", "The part file is missing"),
        ([("a.exe", b"x")], "file", "its name must end in"),
        ([("a.yaml", YAML.encode())], "prompt", "Unknown parameter: prompt"),
        ([("a.json", b"{")], "file", "Malformed JSON"),
    ):
        answer = form(house, *files, field=field)
        assert answer.status_code == 400
        assert sentence in answer.get_json()["error"]


def test_a_document_beyond_a_megabyte_is_too_large(house: House) -> None:
    text = json.dumps(greet("x" * 200_000))
    assert send(house, text, "application/json").status_code == 201
    assert send(house, text + " " * 1_048_577, "application/json").status_code == 413
    assert form(house, ("a.yaml", b"#" * 1_048_577)).status_code == 413
    assert form(house, ("a.yaml", b"#" * 5_000_000)).status_code == 413


def test_warnings_say_what_a_job_would_be_refused_for(house: House) -> None:
    body = house.post(PROMPTS, as_=house.alice, json=greet(task="nobody")).get_json()
    assert body["warnings"] == ["Prompt greet: its task nobody is unknown here"]


def test_an_administrator_imports_for_another(house: House) -> None:
    query = f"?user_id={house.alice.user_id}"
    stored = put(house, as_=house.ada, query=query)
    assert stored["owner"]["name"] == "alice"
    assert stored["author"]["name"] == "ada"
    assert house.get(f"{PROMPTS}/greet", as_=house.alice).status_code == 200
    answer = house.post(PROMPTS + query, as_=house.bob, json=greet())
    assert answer.status_code == 403


# Reading


@pytest.mark.parametrize("format", ["json", "yaml", "xml"])
def test_what_is_exported_can_be_imported_and_changes_nothing(house: House, format: str) -> None:
    house.post(PROMPTS, as_=house.alice, json=GREET)
    media_type = f"application/{format}"
    answer = house.get(f"{PROMPTS}/greet", as_=house.alice, headers={"Accept": media_type})
    assert answer.content_type.partition(";")[0] == media_type
    assert answer.headers["Vary"] == "Accept"
    text = json.dumps(answer.get_json()["definition"]) if format == "json" else answer.data
    assert send(house, text, media_type).get_json()["data"][0]["unchanged"]


def test_the_query_goes_before_accept_and_anything_else_is_json(house: House) -> None:
    put(house)
    for query, accept, expected in (
        ("?format=yaml", "application/xml", "application/yaml"),
        ("", "text/xml", "application/xml"),
        ("", "*/*", "application/json"),
        ("", "image/png", "application/json"),
        ("", "application/yaml;q=0.2, application/xml;q=0.9", "application/xml"),
    ):
        answer = house.get(f"{PROMPTS}/greet{query}", as_=house.alice, headers={"Accept": accept})
        assert answer.content_type.partition(";")[0] == expected
    assert house.get(f"{PROMPTS}/greet?format=bpmn", as_=house.alice).status_code == 400


def test_a_reference_names_a_version_or_a_label(house: House) -> None:
    for text in ("one", "two", "three"):
        put(house, text)
    put(house, "four", query="?publish=false")
    label = {"label": "production", "version": 1}
    house.post(f"{PROMPTS}/greet/labels", as_=house.alice, json=label)
    versions = {
        reference: house.get(f"{PROMPTS}/{reference}", as_=house.alice).get_json()["version"]
        for reference in ("greet", "greet@2", "greet@production", "greet@latest", "greet@draft")
    }
    assert list(versions.values()) == [3, 2, 1, 3, 4]
    unknown = house.get(f"{PROMPTS}/greet@9", as_=house.alice)
    assert (unknown.status_code, unknown.get_json()["error"]) == (
        404,
        "Prompt greet has no version 9",
    )


def test_the_list_goes_page_by_page_and_is_filtered(house: House) -> None:
    for name in ("a", "b", "c"):
        house.post(PROMPTS, as_=house.alice, json=greet(name=name))
    first = house.get(f"{PROMPTS}?limit=2", as_=house.alice)
    assert [line["name"] for line in first.get_json()["data"]] == ["c", "b"]
    after = first.get_json()["next"]
    second = house.get(f"{PROMPTS}?limit=2&after={after}", as_=house.alice)
    assert [line["name"] for line in second.get_json()["data"]] == ["a"]
    house.call("PATCH", f"{PROMPTS}/b", as_=house.alice, json={"shared": True})
    house.post(f"{PROMPTS}/c/labels", as_=house.alice, json={"label": "beta", "version": 1})
    for query, names in (
        ("?q=A", ["a"]),
        ("?shared=true", ["b"]),
        ("?shared=false", ["c", "a"]),
        ("?label=beta", ["c"]),
    ):
        listed = house.get(PROMPTS + query, as_=house.alice).get_json()["data"]
        assert [line["name"] for line in listed] == names
    assert house.get(f"{PROMPTS}?label=latest", as_=house.alice).status_code == 400


def test_everybody_is_listed_for_administrators_who_ask(house: House) -> None:
    put(house)
    assert house.get(PROMPTS, as_=house.ada).get_json()["data"] == []
    listed = house.get(f"{PROMPTS}?all_users=true", as_=house.ada).get_json()["data"]
    assert [line["owner"]["name"] for line in listed] == ["alice"]
    assert house.get(f"{PROMPTS}?all_users=true", as_=house.bob).status_code == 403
    shown = house.get(f"{PROMPTS}/greet?user_id={house.alice.user_id}", as_=house.ada)
    assert shown.get_json()["owner"]["name"] == "alice"


# Changing


def test_putting_a_definition_adds_a_version_or_writes_the_draft(house: House) -> None:
    put(house, "one")
    path = f"{PROMPTS}/greet"

    def replaced(text: str, query: str = "") -> dict[str, Any]:
        body = {"messages": [{"content": text}]}
        return dict(house.call("PUT", path + query, as_=house.alice, json=body).get_json())

    assert replaced("two")["version"] == 2
    assert replaced("two")["unchanged"]
    draft = replaced("three", "?publish=false")
    assert (draft["version"], draft["draft"], draft["latest"]) == (3, 3, 2)
    assert draft["published_at"] is None
    published = house.post(f"{path}/publish", as_=house.alice).get_json()
    assert (published["version"], published["latest"], published["draft"]) == (3, 3, None)
    answer = house.call("PUT", f"{PROMPTS}/other", as_=house.alice, json=greet())
    assert answer.status_code == 404
    answer = house.call("PUT", path, as_=house.alice, json=greet(name="other"))
    assert "cannot be renamed" in answer.get_json()["error"]
    answer = house.call("PUT", path, as_=house.alice, json=[greet(), greet(name="b")])
    assert answer.status_code == 400


def test_a_discarded_drafts_number_is_not_given_again(house: House) -> None:
    put(house, "one")
    put(house, "two", query="?publish=false")
    assert house.call("DELETE", f"{PROMPTS}/greet/draft", as_=house.alice).status_code == 204
    assert house.get(f"{PROMPTS}/greet@draft", as_=house.alice).status_code == 404
    assert put(house, "three")["version"] == 3


def test_a_prompt_is_shared_but_never_renamed(house: House) -> None:
    put(house)
    path = f"{PROMPTS}/greet"
    shared = house.call("PATCH", path, as_=house.alice, json={"shared": True})
    assert shared.get_json()["shared"]
    assert house.get(path, as_=house.bob).status_code == 200
    assert house.call("PATCH", path, as_=house.bob, json={"shared": False}).status_code == 403
    renamed = house.call("PATCH", path, as_=house.alice, json={"shared": True, "name": "x"})
    assert (renamed.status_code, renamed.get_json()["code"]) == (400, "unknown_parameter")
    put(house, as_=house.bob)
    taken = house.call("PATCH", path, as_=house.bob, json={"shared": True})
    assert (taken.status_code, taken.get_json()["errors"][0]["pointer"]) == (409, "/shared")


def test_versions_are_listed_with_their_labels_and_compared(house: House) -> None:
    put(house, "Hello {{who}}")
    put(house, "Goodbye {{who}}")
    label = {"label": "production", "version": 1}
    house.post(f"{PROMPTS}/greet/labels", as_=house.alice, json=label)
    page = house.get(f"{PROMPTS}/greet/versions", as_=house.alice).get_json()
    assert [(line["version"], line["labels"]) for line in page["data"]] == [
        (2, []),
        (1, ["production"]),
    ]
    diff = house.get(f"{PROMPTS}/greet/diff?from=1&to=2", as_=house.alice).get_json()
    assert (diff["from"], diff["to"], diff["differs"]) == (1, 2, True)
    assert diff["unified"].startswith("--- greet@1\n+++ greet@2\n")
    assert [change["place"] for change in diff["changes"]] == ["messages[0].content"]
    gone = [piece["text"].strip() for piece in diff["pieces"] if piece["kind"] == "gone"]
    assert gone == ["Hello"]
    usual = house.get(f"{PROMPTS}/greet/diff", as_=house.alice).get_json()
    assert usual == diff
    by_label = house.get(f"{PROMPTS}/greet/diff?from=production", as_=house.alice).get_json()
    assert by_label == diff
    nothing = house.get(f"{PROMPTS}/greet/diff?to=1", as_=house.alice)
    assert nothing.status_code == 404


def test_a_label_is_moved_rolled_back_and_taken_away(house: House) -> None:
    put(house, "one")
    put(house, "two")
    path = f"{PROMPTS}/greet"
    for version, previous in ((1, None), (2, 1)):
        body = {"label": "production", "version": version}
        label = house.post(f"{path}/labels", as_=house.alice, json=body).get_json()
        assert (label["version"], label["previous"]) == (version, previous)
    back = house.post(f"{path}/roll_back", as_=house.alice).get_json()
    assert back == {
        "message": "production of greet means version 1",
        "name": "greet",
        "label": "production",
        "version": 1,
        "before": 2,
        "copy_of": None,
    }
    removed = house.call("DELETE", f"{path}/labels/production", as_=house.alice)
    assert removed.status_code == 204
    assert house.get(path, as_=house.alice).get_json()["labels"] == {}
    for label in ("latest", "draft", "No"):
        body = {"label": label, "version": 1}
        assert house.post(f"{path}/labels", as_=house.alice, json=body).status_code == 400


def test_without_production_a_roll_back_says_what_it_copied(house: House) -> None:
    put(house, "one")
    put(house, "two")
    back = house.post(f"{PROMPTS}/greet/roll_back", as_=house.alice, json={}).get_json()
    assert (back["version"], back["before"], back["copy_of"], back["label"]) == (3, 2, 1, None)
    assert back["message"] == "Version 3 of greet was published as a copy of 1"
    newest = house.get(f"{PROMPTS}/greet", as_=house.alice).get_json()
    assert newest["definition"]["messages"][0]["content"] == "one"


def test_an_archived_prompt_frees_its_name(house: House) -> None:
    put(house, "one")
    put(house, "two")
    assert house.call("DELETE", f"{PROMPTS}/greet", as_=house.alice).status_code == 204
    assert house.get(f"{PROMPTS}/greet", as_=house.alice).status_code == 404
    assert house.call("DELETE", f"{PROMPTS}/greet", as_=house.alice).status_code == 404
    assert put(house, "three")["version"] == 1


def test_use_is_told_of_outputs_and_of_prompts(house: House) -> None:
    put(house)
    house.post(PROMPTS, as_=house.alice, json=greet(name="assistant", task="greet@1"))
    use = house.get(f"{PROMPTS}/greet/used_by", as_=house.alice).get_json()
    assert (use["versions"], use["newest"], use["capped"]) == ([], [], False)
    assert [line["name"] for line in use["prompts"]] == ["assistant"]


def test_a_strangers_private_prompt_is_404_everywhere(house: House) -> None:
    put(house)
    put(house, "two", query="?publish=false")
    owner = f"user_id={house.alice.user_id}"
    label = {"label": "production", "version": 1}
    for method, path, body in (
        ("GET", "greet", None),
        ("GET", "greet@1", None),
        ("PUT", "greet", {"messages": [{"content": "x"}]}),
        ("PATCH", "greet", {"shared": True}),
        ("DELETE", "greet", None),
        ("POST", "greet/publish", {}),
        ("DELETE", "greet/draft", None),
        ("GET", "greet/versions", None),
        ("GET", "greet/diff", None),
        ("POST", "greet/labels", label),
        ("DELETE", "greet/labels/production", None),
        ("POST", "greet/roll_back", {}),
        ("GET", "greet/used_by", None),
    ):
        for query in ("", f"?{owner}"):
            answer = house.call(method, f"{PROMPTS}/{path}{query}", as_=house.charlie, json=body)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found"), path
    assert house.get(f"{PROMPTS}?{owner}", as_=house.charlie).get_json()["data"] == []


def test_a_key_without_the_scope_reads_but_does_not_write(house: House) -> None:
    put(house)
    reader = house.key_for(house.alice, ["jobs:read"])
    writer = house.key_for(house.alice, ["templates:admin"])
    assert house.get(f"{PROMPTS}/greet", as_=reader).status_code == 200
    assert house.post(PROMPTS, as_=reader, json=greet()).status_code == 403
    assert house.post(PROMPTS, as_=writer, json=greet()).status_code == 201
