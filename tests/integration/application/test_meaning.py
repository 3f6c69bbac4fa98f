"""Documents found by what they mean: an embedder of a plugin, beside the words, never instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from app import chats, retrieval
from app.accounts import Caller
from app.chats import NewChat, Request
from app.errors import ConfigurationError
from app.plugins import registry
from app.retrieval import NewDocument
from app.retrieval.meaning import BATCH
from app.settings import Settings
from models import DocVector
from tests.integration.application.conftest import RecordedRuntime

CONCEPTS = ({"car", "automobile", "vehicle"}, {"doctor", "physician"}, {"rain", "weather"})


class Concepts:
    """Knows three things, by whatever word."""

    asked = 0
    broken = False

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if self.broken:
            raise OSError("gone")
        self.asked += 1
        words = [set(text.lower().replace("?", "").split()) for text in texts]
        return [[float(len(concept & said)) for concept in CONCEPTS] for said in words]


@pytest.fixture
def concepts(monkeypatch: pytest.MonkeyPatch) -> Concepts:
    found = Concepts()
    monkeypatch.setitem(registry().embedders._parts, "concepts", found)
    return found


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"embedder": "concepts"})


class Shelf:
    def __init__(self, runtime: RecordedRuntime) -> None:
        self.runtime = runtime

    def keep(self, caller: Caller, key: str, text: str) -> None:
        with self.runtime.database.write() as session:
            retrieval.keep(session, caller, NewDocument(key=key, title=key, text=text))

    def embed(self) -> int:
        made = 0
        while more := retrieval.embed_chunks(self.runtime.real):
            made += more
        return made

    def found(self, caller: Caller, *questions: str) -> list[str]:
        vectors = retrieval.vectors_of(self.runtime.settings, questions)
        with self.runtime.database.read() as session:
            rows = retrieval.find(
                session,
                caller,
                questions,
                embedder=self.runtime.settings.embedder,
                vectors=vectors,
                limit=2,
            )
        return [row.title for row in rows]

    def vectors(self) -> int:
        with self.runtime.database.read() as session:
            return session.scalar(select(func.count()).select_from(DocVector)) or 0


@pytest.fixture
def shelf(recorded: RecordedRuntime, concepts: Concepts, alice: Caller) -> Shelf:
    made = Shelf(recorded)
    for key, text in (
        ("wheels", "An automobile needs fuel."),
        ("health", "The physician listens."),
        ("sky", "Weather changes."),
    ):
        made.keep(alice, key, text)
    return made


def test_other_words_for_the_same_are_found(shelf: Shelf, alice: Caller) -> None:
    assert shelf.found(alice, "Which car?") == []
    assert shelf.embed() == 3
    assert shelf.found(alice, "Which car?")[0] == "wheels"
    assert shelf.found(alice, "A doctor?")[0] == "health"


def test_words_and_meaning_are_one_list(shelf: Shelf, alice: Caller) -> None:
    shelf.embed()
    assert set(shelf.found(alice, "fuel for a doctor")) == {"wheels", "health"}


def test_nobody_elses_documents_are_near(shelf: Shelf, alice: Caller, bob: Caller) -> None:
    shelf.keep(bob, "secret", "The vehicle of bob.")
    shelf.embed()
    assert shelf.found(alice, "Which car?")[0] == "wheels"
    assert "secret" not in shelf.found(alice, "Which car?")
    assert shelf.found(bob, "Which car?") == ["secret"]


def test_only_what_has_no_vector_is_embedded(
    shelf: Shelf, alice: Caller, concepts: Concepts, recorded: RecordedRuntime
) -> None:
    assert shelf.embed() == 3
    assert shelf.embed() == 0
    shelf.keep(alice, "sky", "Rain again.")
    assert shelf.vectors() == 2  # those of what was there before are gone with it
    assert shelf.embed() == 1
    for number in range(BATCH + 1):
        shelf.keep(alice, f"more-{number}", "car")
    before = concepts.asked
    assert shelf.embed() == BATCH + 1
    assert concepts.asked == before + 2


def test_another_embedder_makes_its_own(
    shelf: Shelf, concepts: Concepts, recorded: RecordedRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.embed()
    monkeypatch.setitem(registry().embedders._parts, "others", Concepts())
    others = recorded.settings.model_copy(update={"embedder": "others"})
    again = Shelf(replace(recorded, settings=others))
    assert (again.embed(), again.vectors()) == (3, 3)


@pytest.mark.parametrize("wrong", ["broken", "unknown", "short"])
def test_without_an_embedder_that_works_words_find(
    shelf: Shelf,
    alice: Caller,
    concepts: Concepts,
    recorded: RecordedRuntime,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    shelf.embed()
    if wrong == "broken":
        concepts.broken = True
    elif wrong == "unknown":
        monkeypatch.delitem(registry().embedders._parts, "concepts")
    else:
        monkeypatch.setattr(Concepts, "embed", lambda *_: [])
    assert shelf.found(alice, "automobile") == ["wheels"]
    taken = chats.create(
        recorded.real,
        alice,
        NewChat(model="simulator/echo", first=Request(content="automobile")),
    )
    with recorded.database.read() as session:
        answer = chats.shown_message(session, taken.message_ids[1]).to_json()
    assert ([one["title"] for one in answer["sources"]], answer["warning"]) == (["wheels"], None)


def test_a_message_of_a_chat_is_looked_for_by_meaning(
    shelf: Shelf, alice: Caller, recorded: RecordedRuntime
) -> None:
    shelf.embed()
    first = Request(content="Which car should I take?")
    taken = chats.create(recorded.real, alice, NewChat(model="simulator/echo", first=first))
    with recorded.database.read() as session:
        answer = chats.shown_message(session, taken.message_ids[1]).to_json()
    assert answer["sources"][0]["title"] == "wheels"


def test_embedding_without_an_embedder_says_so(recorded: RecordedRuntime) -> None:
    with pytest.raises(ConfigurationError, match="no such embedder; there are: none"):
        retrieval.embed_chunks(recorded.real)
    none = recorded.settings.model_copy(update={"embedder": None})
    with pytest.raises(ConfigurationError, match="names no embedder"):
        retrieval.embed_chunks(replace(recorded, settings=none).real)
