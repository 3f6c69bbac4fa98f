"""Rows of prompt definitions over HTTP: what is told of their files, and work items changed."""

from __future__ import annotations

from typing import Any

from tests.api.house import OUTPUTS, House

PROMPT = {
    "name": "sort",
    "model": "simulator/echo",
    "messages": [
        {"content": "Sort <itemvalue>title</itemvalue>: <FILECONTEXT>.*</FILECONTEXT>"},
    ],
}
JOB: dict[str, Any] = {
    "template": None,
    "model": None,
    "context": {},
    "prompt": "sort",
    "workitem": {"title": "Bees"},
    "files": [{"name": "a.txt", "text": "Füße"}],
}


def ended(house: House) -> str:
    """The address of the output of a job of alice's stored prompt."""
    assert house.post("/api/v1/prompts", as_=house.alice, json=PROMPT).status_code == 201
    return f"{OUTPUTS}/{house.ended(**JOB)['output_id']}"


def regenerated(house: House, path: str, **changes: Any) -> dict[str, Any]:
    """The row of the child."""
    made = house.post(f"{path}/regenerate", as_=house.alice, json=changes)
    assert made.status_code == 201, made.text
    child = f"{OUTPUTS}/{made.get_json()['output_id']}"
    return dict(house.get(child, as_=house.alice).get_json())


def test_a_row_tells_its_files_without_their_texts(house: House) -> None:
    row = house.get(ended(house), as_=house.alice).get_json()
    told = {"name": "a.txt", "media_type": "text/plain", "size": 6, "characters": 4}
    assert row["files"] == [told]


def test_lists_tell_files_too_and_a_row_without_any_has_none(house: House) -> None:
    house.ended()
    ended(house)
    rows = house.get(OUTPUTS, as_=house.alice).get_json()["data"]
    assert [[file["name"] for file in row["files"]] for row in rows] == [["a.txt"], []]


def test_an_erased_row_has_no_files(house: House) -> None:
    path = ended(house)
    assert house.call("DELETE", path, as_=house.alice).status_code == 204
    assert house.get(path, as_=house.alice).get_json()["files"] == []


def test_regenerating_replaces_the_work_item_whole_and_keeps_the_files(house: House) -> None:
    path = ended(house)
    parent = house.get(path, as_=house.alice).get_json()
    child = regenerated(house, path, workitem={"title": "Ants", "team": ["a", "b"]})
    assert child["workitem"] == {"title": ["Ants"], "team": ["a", "b"]}
    assert (child["files"], child["definition"]) == (parent["files"], parent["definition"])
    assert house.get(path, as_=house.alice).get_json()["workitem"] == {"title": ["Bees"]}
    assert regenerated(house, path)["workitem"] == {"title": ["Bees"]}


def test_a_work_item_is_refused_where_nothing_reads_it(house: House) -> None:
    plain = f"{OUTPUTS}/{house.ended()['output_id']}"
    path = ended(house)
    for parent, changes in (
        (plain, {}),
        (path, {"template": "Hello"}),
        (path, {"workitem": {" ": 1}}),
    ):
        body = {"workitem": {"title": "Ants"}, **changes}
        answer = house.post(f"{parent}/regenerate", as_=house.alice, json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_parameter")
        assert answer.get_json()["errors"][0]["pointer"] == "/workitem"
