"""Documents over HTTP: kept once, found by their owner, refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.house import House, Person

DOCUMENTS = "/api/v1/documents"
TEXT = "# Whales\n\n## Feeding\n\nThey filter krill."


def keep(house: House, as_: Person | None = None, **sent: Any) -> Any:
    body = {"key": "whales.md", "title": "Whales", "text": TEXT, **sent}
    return house.post(DOCUMENTS, as_=as_ or house.alice, json=body)


def search(house: House, question: str, as_: Person | None = None, **how: Any) -> Any:
    query = {"q": question, **how}
    return house.get(f"{DOCUMENTS}/search", as_=as_ or house.alice, query_string=query)


def test_a_document_is_kept_shown_found_and_removed(house: House) -> None:
    made = keep(house, source="sea", url="https://example.org/w", resource="sea@1")
    kept = made.get_json()
    assert (made.status_code, kept["outcome"], kept["chunks"]) == (201, "created", 1)
    assert made.headers["Location"] == f"{DOCUMENTS}/{kept['id']}"
    shown = house.get(made.headers["Location"], as_=house.alice).get_json()
    assert (shown["text"], shown["resource"], shown["user_id"]) == (
        TEXT,
        "sea@1",
        house.alice.user_id,
    )
    (found,) = search(house, "What do whales feed on?", source="sea").get_json()["data"]
    assert (found["document_id"], found["section"]) == (kept["id"], "Whales › Feeding")
    assert (found["title"], found["url"]) == ("Whales", "https://example.org/w")
    (line,) = house.get(DOCUMENTS, as_=house.alice).get_json()["data"]
    assert "text" not in line
    assert house.call("DELETE", f"{DOCUMENTS}/{kept['id']}", as_=house.alice).status_code == 204
    assert search(house, "whales").get_json() == {"data": []}


def test_the_same_source_and_key_again_is_the_same_document(house: House) -> None:
    first, same, other = keep(house), keep(house), keep(house, text="Krill.")
    assert [one.status_code for one in (first, same, other)] == [201, 200, 200]
    assert [one.get_json()["outcome"] for one in (same, other)] == ["unchanged", "replaced"]
    assert len({one.get_json()["id"] for one in (first, same, other)}) == 1


def test_only_administrators_share(house: House) -> None:
    assert keep(house, shared=True).status_code == 403
    kept = keep(house, as_=house.ada, shared=True).get_json()
    assert search(house, "krill").get_json()["data"][0]["document_id"] == kept["id"]
    path = f"{DOCUMENTS}/{kept['id']}"
    assert house.call("DELETE", path, as_=house.alice).status_code == 403


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"text": "   "}, "/text"),
        ({"key": ""}, "/key"),
        ({"title": "a\x00b"}, "/title"),
        ({"url": "javascript:alert(1)"}, "/url"),
        ({"text": "x" * 300_000}, "/text"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place(
    house: House, wrong: dict[str, Any], pointer: str
) -> None:
    answer = keep(house, **wrong)
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("question", ["", "*", "NEAR(", 'a" OR "b', "foo:bar", "how do I get()?"])
def test_any_text_is_a_question(house: House, question: str) -> None:
    keep(house)
    assert search(house, question).status_code == 200
