"""Documents and what is found in them, on both databases: the same best chunks, nobody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app import retrieval
from app.accounts import OPERATOR, Caller
from app.db import Database
from app.errors import Forbidden, InvalidParameter, NotFound
from app.retrieval import Found, Kept, NewDocument
from models import DocChunk

FHIR = """# FHIR adaptor

Talks to servers of patients' records.

## Getting patients

Call `util.getPatients({ name: 'Zoë' })` to read patients.

## Removing

`remove(id)` removes a record.
"""


class Shelf:
    """Keeps and finds documents on behalf of people."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def keep(self, caller: Caller, text: str = FHIR, **facts: Any) -> Kept:
        new = NewDocument(**{"key": "fhir.md", "title": "FHIR guide", "text": text, **facts})
        with self.database.write() as session:
            return retrieval.keep(session, caller, new)

    def search(self, caller: Caller, question: str, **how: Any) -> list[Found]:
        with self.database.read() as session:
            return retrieval.search(session, caller, question, **how)

    def titles(self, caller: Caller, question: str, **how: Any) -> list[str]:
        return [found.title for found in self.search(caller, question, **how)]

    def remove(self, caller: Caller, document_id: int) -> None:
        with self.database.write() as session:
            retrieval.remove(session, caller, document_id)

    def chunks(self) -> list[int]:
        with self.database.read() as session:
            return list(session.scalars(select(DocChunk.id).order_by(DocChunk.id)))


@pytest.fixture
def shelf(database: Database) -> Shelf:
    return Shelf(database)


@pytest.mark.parametrize(
    ("question", "section"),
    [
        ("How do I get patients?", "FHIR adaptor › Getting patients"),
        ("getPatients", "FHIR adaptor › Getting patients"),
        ("getting a PATIENT named Zoe", "FHIR adaptor › Getting patients"),
        ("removed", "FHIR adaptor › Removing"),
    ],
)
def test_a_question_finds_its_chunk(
    shelf: Shelf, alice: Caller, question: str, section: str
) -> None:
    kept = shelf.keep(alice, url="https://docs.example.org/fhir", source="docs")
    best = shelf.search(alice, question)[0]
    assert (best.section, best.document_id) == (section, kept.document.id)
    assert (best.title, best.url, best.source) == (
        "FHIR guide",
        "https://docs.example.org/fhir",
        "docs",
    )
    assert best.score > 0


def test_words_in_titles_count_more(shelf: Shelf, alice: Caller) -> None:
    for title, text in [("Other", "Invoices and things."), ("Invoices", "Numbers and dates.")]:
        shelf.keep(alice, text, key=title, title=title)
    assert shelf.titles(alice, "invoices") == ["Invoices", "Other"]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("全文検索は簡単です。", "検索"),
        ("猫が好き", "猫"),
        ("การค้นหาข้อความ", "ค้นหา"),
        ("문서에서 찾습니다", "문서"),
    ],
)
def test_scripts_without_spaces_are_found(
    shelf: Shelf, alice: Caller, text: str, question: str
) -> None:
    shelf.keep(alice, text, key="asian", title="Asian")
    shelf.keep(alice, "Nothing of it.", key="other", title="Other")
    assert shelf.titles(alice, question) == ["Asian"]


HOSTILE = [
    "how do I get()?", "NEAR(", "NEAR(a b, 2)", "foo:bar", "-x", "*", "", " ", "\x00", "a\x00b",
    '"', "'", "''; DROP TABLE documents; --", "a OR", "AND", "NOT", "or", "and not", "words:a",
    "^a", "{a b}: c", "a + b", "😀", "🧑\u200d💻", "\ud83d", "%s :terms", "\\", "<->", "a <-> b",
    "é" * 300, "x" * 1_000_000, "word " * 200_000, "z" + "\u0301" * 5_000, "(" * 10_000, "!a",
]  # fmt: skip


def test_no_question_ever_breaks_a_search(shelf: Shelf, alice: Caller) -> None:
    shelf.keep(alice)
    for question in HOSTILE:
        assert len(shelf.search(alice, question)) <= 5
    assert shelf.titles(alice, 'foo:bar -x NEAR( "patients" *') != []


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(question=st.text(st.characters(codec=None), max_size=200))
def test_whatever_is_asked_is_searched(shelf: Shelf, alice: Caller, question: str) -> None:
    assert shelf.search(alice, question) == []


def test_nobody_finds_or_sees_a_strangers_document(
    shelf: Shelf, alice: Caller, bob: Caller, admin: Caller
) -> None:
    document_id = shelf.keep(alice, resource="fhir").document.id
    for stranger in (bob, admin, OPERATOR):
        assert shelf.search(stranger, "patients") == []
        with shelf.database.read() as session:
            assert retrieval.resource_docs(session, stranger, "fhir") == ""
            assert retrieval.list_documents(session, stranger).rows == []
            with pytest.raises(NotFound):
                retrieval.get_document(session, stranger, document_id)
        with pytest.raises(NotFound):
            shelf.remove(stranger, document_id)
    assert shelf.search(alice, "patients") != []


def test_better_matches_of_strangers_stand_in_nobodys_way(
    shelf: Shelf, alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.retrieval.searching._NEAREST", 2)
    for number in range(4):
        shelf.keep(bob, "Whales, whales.", key=str(number), title="Whales")
    shelf.keep(alice, "One word of many other ones is whales.", title="Hers")
    assert shelf.titles(alice, "whales") == ["Hers"]


def test_only_administrators_share_and_everybody_finds_it(
    shelf: Shelf, alice: Caller, bob: Caller, admin: Caller
) -> None:
    with pytest.raises(Forbidden):
        shelf.keep(alice, shared=True)
    document_id = shelf.keep(admin, shared=True).document.id
    assert shelf.titles(bob, "patients") == shelf.titles(alice, "patients") != []
    with pytest.raises(Forbidden):
        shelf.remove(bob, document_id)
    shelf.remove(admin, document_id)
    assert shelf.search(bob, "patients") == [] == shelf.chunks()


def test_the_same_again_changes_nothing_and_another_text_replaces_all(
    shelf: Shelf, alice: Caller
) -> None:
    first = shelf.keep(alice)
    chunks = shelf.chunks()
    again = shelf.keep(alice)
    assert (first.outcome, again.outcome, shelf.chunks()) == ("created", "unchanged", chunks)
    assert again.document.updated_at == first.document.updated_at
    other = shelf.keep(alice, "All about whales.")
    assert (other.outcome, other.document.id) == ("replaced", first.document.id)
    assert shelf.search(alice, "patients") == []
    assert [found.text for found in shelf.search(alice, "whale")] == ["All about whales."]
    assert len(shelf.chunks()) == other.document.chunks == 1


def test_the_same_key_is_another_document_of_another_person_or_source(
    shelf: Shelf, alice: Caller, bob: Caller
) -> None:
    kept = [
        shelf.keep(alice),
        shelf.keep(bob, "Bob's own."),
        shelf.keep(alice, "Other source.", source="wiki"),
    ]
    assert [one.outcome for one in kept] == ["created"] * 3
    assert shelf.titles(alice, "patients source", sources=["wiki"]) == ["FHIR guide"]
    assert shelf.search(alice, "patients", sources=["nowhere"]) == []


def test_one_that_is_kept_twice_at_once_is_kept_once(shelf: Shelf, alice: Caller) -> None:
    texts = [f"Version {number} of it." for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        kept = list(threads.map(lambda text: shelf.keep(alice, text), texts))
    assert sorted(one.outcome for one in kept) == ["created", "replaced", "replaced", "replaced"]
    assert len(shelf.chunks()) == 1


@pytest.mark.parametrize(
    "wrong", [{"text": "  "}, {"title": ""}, {"key": "a\x00"}, {"url": "javascript:alert(1)"}]
)
def test_what_cannot_be_kept_is_refused(shelf: Shelf, alice: Caller, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        shelf.keep(alice, **wrong)
    assert shelf.chunks() == []


def test_a_resource_is_meant_by_its_version_else_by_its_name(shelf: Shelf, alice: Caller) -> None:
    for tag in ("fhir", "fhir@5.0.0", "http", None):
        title = tag or "General"
        shelf.keep(alice, f"About patients in {title}.", key=title, title=title, resource=tag)
    of = {
        name: sorted(shelf.titles(alice, "patients", resource=name))
        for name in ("@openfn/language-fhir@5.0.0", "fhir@4.0.0", "kobo", "not a name")
    }
    assert of == {
        "@openfn/language-fhir@5.0.0": ["General", "fhir@5.0.0"],
        "fhir@4.0.0": ["General", "fhir"],
        "kobo": ["General"],
        "not a name": ["General"],
    }
    with shelf.database.read() as session:
        docs = retrieval.resource_docs(session, alice, "language-fhir@4.0.0")
        assert docs == "# fhir\n\nAbout patients in fhir."
        assert retrieval.resource_docs(session, alice, "kobo") == ""


def test_docs_of_a_resource_are_cut_with_a_mark(shelf: Shelf, alice: Caller) -> None:
    for number in range(3):
        shelf.keep(alice, "word " * 100, key=str(number), title=f"Part {number}", resource="fhir")
    with shelf.database.read() as session:
        docs = retrieval.resource_docs(session, alice, "fhir", longest=700)
    assert len(docs) == 700 + len(" (...)")
    assert docs.startswith("# Part 0\n\nword")
    assert docs.endswith(" (...)")


def test_removing_a_document_leaves_nothing_to_be_found(shelf: Shelf, alice: Caller) -> None:
    kept = shelf.keep(alice)
    shelf.remove(alice, kept.document.id)
    assert shelf.search(alice, "patients") == []
    with shelf.database.read() as session:
        assert session.scalar(select(func.count()).select_from(DocChunk)) == 0
