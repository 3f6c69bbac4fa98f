"""The library of prompts on both databases: versions, drafts, labels, and who sees what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import OPERATOR, Caller
from app.db import Database
from app.errors import (
    Conflict,
    Forbidden,
    InvalidParameter,
    MissingParameter,
    NotFound,
    PromptParameterInvalid,
    PromptTemplateInvalid,
)
from app.lifecycle import NewJob, create
from app.prompts import library
from app.prompts.definition import Definition, from_json
from app.prompts.library import Stored
from models import AuditEvent, LLMOutput, PromptVersion


def defined(name: str = "greet", content: str = "Hello {{who}}", **more: Any) -> Definition:
    return from_json({"name": name, "messages": [{"role": "user", "content": content}], **more})


class Shelf:
    """The library as one caller uses it, each act in a transaction of its own."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self.database = database
        self.caller = caller

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self.database.write() as session:
            yield session

    def store(self, *definitions: Definition, **how: Any) -> list[Stored]:
        with self.session() as session:
            return library.store(session, self.caller, definitions, **how)

    def put(self, content: str, name: str = "greet", **how: Any) -> Stored:
        return self.store(defined(name, content), **how)[0]

    def act(self, verb: str, name: str = "greet", **how: Any) -> Any:
        with self.session() as session:
            return getattr(library, verb)(session, self.caller, name, **how)

    def runs(self, reference: str) -> str:
        """The text that a job of this reference would send."""
        with self.database.read() as session:
            found = library.resolve(session, self.caller, reference)
        return f"{found.version}: {found.definition.first.messages[0].content}"

    def shows(self, reference: str, **how: Any) -> dict[str, Any]:
        with self.database.read() as session:
            found = library.get(session, self.caller, reference, **how)
            return library.describe(session, self.caller, found)

    def names(self, **filters: Any) -> list[str]:
        with self.database.read() as session:
            page = library.list_prompts(session, self.caller, **filters)
            told = library.describe_many(session, self.caller, page.rows)
        return [line["name"] for line in told]

    def numbers(self, name: str = "greet") -> list[int]:
        with self.database.read() as session:
            page = library.list_versions(session, self.caller, name)
            return [line["version"] for line in library.describe_versions(session, page.rows)]


@pytest.fixture
def hers(database: Database, alice: Caller) -> Shelf:
    return Shelf(database, alice)


@pytest.fixture
def his(database: Database, bob: Caller) -> Shelf:
    return Shelf(database, bob)


@pytest.fixture
def adas(database: Database, admin: Caller) -> Shelf:
    return Shelf(database, admin)


# Versions


def test_each_new_definition_of_a_name_is_its_next_version(hers: Shelf) -> None:
    versions = [hers.put(text).version.version for text in ("one", "two", "three")]
    assert versions == [1, 2, 3]
    assert hers.numbers() == [3, 2, 1]
    assert hers.runs("greet") == "3: three"
    assert hers.runs("greet@1") == "1: one"


def test_importing_the_newest_version_again_adds_none(hers: Shelf) -> None:
    first = hers.put("one")
    again = hers.put("one")
    assert (first.unchanged, again.unchanged, again.version.version) == (False, True, 1)
    assert hers.numbers() == [1]


def test_going_back_to_an_older_text_is_a_new_version(hers: Shelf) -> None:
    for text in ("one", "two", "one"):
        hers.put(text)
    assert hers.numbers() == [3, 2, 1]


def test_a_number_spelled_otherwise_is_no_change_but_true_is_not_one(hers: Shelf) -> None:
    hers.store(defined(options={"temperature": 0, "nested": [1.0]}))
    assert hers.store(defined(options={"nested": [1], "temperature": 0.0}))[0].unchanged
    assert not hers.store(defined(options={"temperature": False, "nested": [1]}))[0].unchanged


def test_a_definition_is_stored_whole(hers: Shelf) -> None:
    written = {
        "name": "categorize",
        "description": "Sorts mail",
        "steps": [
            {
                "mode": "PROMPT",
                "messages": [
                    {"role": "system", "content": "Sort."},
                    {"role": "user", "content": "  <itemvalue>subject</itemvalue>\n"},
                ],
                "options": {"n_predict": 16, "stop": ["a", {"b": None}]},
                "endpoint": "local",
                "result_item": "category",
                "result_event": "JSON",
            },
            {"mode": "CONDITION", "messages": [{"role": "user", "content": "Urgent?"}]},
        ],
        "suggest": {"items": ["category"], "mode": "ON"},
        "debug": True,
    }
    hers.store(from_json(written))
    assert hers.shows("categorize")["definition"] == written


def test_several_definitions_are_stored_together_or_not_at_all(hers: Shelf) -> None:
    with pytest.raises(PromptTemplateInvalid):
        hers.store(defined("good"), defined("bad", "<itemvalue>never closed"))
    assert hers.names() == []
    stored = hers.store(defined("zebra"), defined("ape"))
    assert [one.prompt.name for one in stored] == ["zebra", "ape"]
    assert hers.names() == ["zebra", "ape"]


def test_a_template_that_cannot_be_read_is_refused_when_it_is_stored(hers: Shelf) -> None:
    with pytest.raises(PromptTemplateInvalid) as refusal:
        hers.store(defined("good"), defined("bad", "line one\n  <itemvalue>never closed"))
    error = refusal.value
    assert (error.code, error.status) == ("ERROR_LLM_PROMPT_TEMPLATE", 422)
    assert error.pointer == "/1/messages/0/content"
    assert (error.details["line"], error.details["column"]) == (2, 3)


def test_an_open_variable_is_refused_with_its_place(hers: Shelf) -> None:
    with pytest.raises(PromptTemplateInvalid) as refusal:
        hers.put("Hello {{who")
    assert refusal.value.pointer == "/messages/0/content"
    assert (refusal.value.details["line"], refusal.value.details["column"]) == (1, 7)


def test_a_definition_needs_a_name_and_a_document_names_each_once(hers: Shelf) -> None:
    with pytest.raises(MissingParameter):
        hers.store(defined(name=""))
    with pytest.raises(InvalidParameter, match="Two definitions are named greet"):
        hers.store(defined(), defined(content="other"))
    with pytest.raises(InvalidParameter, match="Send 1 to 100 definitions, not 0"):
        hers.store()


def test_what_no_database_stores_is_replaced_or_refused(hers: Shelf) -> None:
    hers.put("a\x00b\ud800c")
    assert hers.runs("greet") == "1: a\ufffdb\ufffdc"
    with pytest.raises(PromptParameterInvalid, match="cannot be written as JSON"):
        hers.store(defined(options={"temperature": float("nan")}))


def test_an_unknown_task_or_result_event_is_a_warning(hers: Shelf) -> None:
    (stored,) = hers.store(defined(task="support@3", result_event="FAX"))
    assert stored.warnings == (
        "Prompt greet: no handler for the result event FAX is installed here",
        "Prompt greet: its task support@3 is unknown here",
    )
    hers.put("You are kind.", "support")
    (again,) = hers.store(defined(task="support@3", result_event="json"))
    assert again.warnings == ()


def test_what_a_definition_reads_is_told(hers: Shelf) -> None:
    text = "{{who}} <itemvalue>subject</itemvalue> <propertyvalue>url</propertyvalue> {{who}}"
    hers.put(text + r"<FILECONTEXT>.*\.pdf</FILECONTEXT>")
    shown = hers.shows("greet")
    assert list(shown["variables"]) == ["who"]
    assert list(shown["items"]) == ["subject"]
    assert list(shown["properties"]) == ["url"]
    assert list(shown["file_patterns"]) == [r".*\.pdf"]


# Drafts


def test_a_draft_is_rewritten_in_place_until_it_is_published(hers: Shelf) -> None:
    hers.put("one")
    first = hers.put("two", publish=False)
    second = hers.put("three", publish=False)
    assert (first.version.version, second.version.version) == (2, 2)
    assert hers.runs("greet") == "1: one"
    assert hers.runs("greet@draft") == "2: three"
    assert hers.act("publish").version.version == 2
    assert hers.runs("greet") == hers.runs("greet@latest") == "2: three"
    with pytest.raises(Conflict, match="Prompt greet has no draft"):
        hers.act("publish")


def test_writing_the_same_draft_again_changes_nothing(hers: Shelf) -> None:
    hers.put("one", publish=False)
    assert hers.put("one", publish=False).unchanged
    hers.act("publish")
    assert hers.put("one", publish=False).unchanged
    assert hers.shows("greet")["draft"] is None


def test_a_draft_outlives_a_version_published_beside_it_and_then_comes_after(hers: Shelf) -> None:
    hers.put("one")
    hers.put("draft", publish=False)
    assert hers.put("imported").version.version == 3
    assert hers.runs("greet@draft") == "2: draft"
    assert hers.act("publish").version.version == 4
    assert hers.runs("greet") == "4: draft"
    assert hers.numbers() == [4, 3, 1]


def test_publishing_what_the_draft_says_publishes_the_draft(hers: Shelf) -> None:
    hers.put("one")
    hers.put("two", publish=False)
    assert hers.put("two").version.version == 2
    assert hers.shows("greet")["draft"] is None


def test_a_number_is_never_given_twice_after_a_draft_is_discarded(hers: Shelf) -> None:
    hers.put("one")
    hers.put("two", publish=False)
    hers.act("discard_draft")
    assert hers.numbers() == [1]
    assert hers.put("three").version.version == 3
    hers.put("four", publish=False)
    hers.act("discard_draft")
    assert hers.put("five", publish=False).version.version == 5
    assert hers.shows("greet")["labels"] == {}
    assert hers.shows("greet@draft")["version"] == 5


def test_a_published_version_never_changes(hers: Shelf, database: Database) -> None:
    hers.put("one")
    hers.put("two")

    def stored() -> list[Any]:
        with database.read() as session:
            published = PromptVersion.version <= 2
            rows = session.scalars(
                select(PromptVersion).where(published).order_by(PromptVersion.version)
            )
            return [(row.version, row.definition, row.published_at) for row in rows]

    before = stored()
    hers.put("three", publish=False)
    hers.put("four", publish=False)
    hers.act("publish")
    hers.act("roll_back")
    hers.act("set_label", label="beta", version=1)
    hers.act("replace", definition=defined(content="five"))
    hers.act("share", shared=True)
    hers.act("archive")
    assert stored() == before


def test_replacing_needs_a_prompt_that_is_there_and_its_own_name(hers: Shelf) -> None:
    with pytest.raises(NotFound, match="Unknown prompt: greet"):
        hers.act("replace", definition=defined())
    hers.put("one")
    with pytest.raises(InvalidParameter, match="is named other, not greet"):
        hers.act("replace", definition=defined("other"))
    nameless = defined(content="two").named("")
    assert hers.act("replace", definition=nameless).version.version == 2


def test_imports_of_one_name_at_once_give_consecutive_versions(hers: Shelf) -> None:
    together, numbers, failures = threading.Barrier(6), [], []

    def import_one(number: int) -> None:
        together.wait(10)
        try:
            stored = hers.store(defined(content=f"text {number}"), defined("other", f"{number}"))
            numbers.append(stored[0].version.version)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=import_one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert hers.numbers("other") == [6, 5, 4, 3, 2, 1]


# References


def test_a_bare_name_means_production_for_a_job_and_else_the_newest(hers: Shelf) -> None:
    hers.put("one")
    hers.put("two")
    assert hers.runs("greet") == "2: two"
    hers.act("set_label", label="production", version=1)
    assert hers.runs("greet") == hers.runs("greet@production") == "1: one"
    assert hers.shows("greet")["version"] == 2
    with hers.database.read() as session:
        assert library.resolve(session, hers.caller, "greet", for_job=False).version == 2


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("nothing", "Unknown prompt: nothing"),
        ("", "Unknown prompt: "),
        ("greet\x00", "Unknown prompt: greet\x00"),
        ("x" * 300, "Unknown prompt: " + "x" * 80),
        ("greet@9", "Prompt greet has no version 9"),
        ("greet@0", "Prompt greet has no version 0"),
        ("greet@" + "9" * 30, "Prompt greet has no version " + "9" * 30),
        ("greet@beta", "Prompt greet has no label beta"),
        ("greet@Beta\x00", "Prompt greet has no label Beta\x00"),
        ("greet@", "Prompt greet has no published version"),
        ("greet@draft", "Prompt greet has no draft"),
        ("greet@1@1", "Prompt greet has no version 1@1"),
    ],
)
def test_an_unknown_reference_is_not_found_and_says_why(
    hers: Shelf, reference: str, sentence: str
) -> None:
    hers.put("one")
    with pytest.raises(NotFound) as refusal:
        hers.runs(reference)
    assert refusal.value.message == sentence
    assert refusal.value.pointer == "/prompt"


def test_a_prompt_of_a_draft_alone_cannot_be_run_by_its_bare_name(hers: Shelf) -> None:
    hers.put("one", publish=False)
    with pytest.raises(NotFound, match="Prompt greet has no published version"):
        hers.runs("greet")
    assert hers.runs("greet@draft") == "1: one"
    assert hers.shows("greet")["version"] == 1


# Who sees what


def test_a_strangers_private_prompt_does_not_exist(hers: Shelf, his: Shelf) -> None:
    hers.put("one")
    for act, how in (
        ("replace", {"definition": defined()}),
        ("publish", {}),
        ("discard_draft", {}),
        ("share", {"shared": True}),
        ("archive", {}),
        ("set_label", {"label": "production", "version": 1}),
        ("remove_label", {"label": "production"}),
        ("roll_back", {}),
        ("used_by", {}),
        ("diff", {"before": "1", "after": "1"}),
        ("find", {"user_id": hers.caller.user_id}),
        ("replace", {"definition": defined(), "user_id": hers.caller.user_id}),
    ):
        with pytest.raises(NotFound, match=r"^Unknown prompt: greet$"):
            his.act(act, **how)
    for reference in ("greet", "greet@1", "greet@production"):
        with pytest.raises(NotFound, match=r"^Unknown prompt: greet$"):
            his.runs(reference)
    assert his.names() == []


def test_a_shared_prompt_is_used_by_everybody_and_changed_by_its_author(
    hers: Shelf, his: Shelf
) -> None:
    hers.put("one")
    hers.act("share", shared=True)
    assert his.runs("greet") == "1: one"
    assert his.shows("greet")["owner"] == {"id": hers.caller.user_id, "name": "Alice"}
    assert his.names() == ["greet"]
    for act, how in (
        ("replace", {"definition": defined()}),
        ("publish", {}),
        ("share", {"shared": False}),
        ("archive", {}),
        ("set_label", {"label": "production", "version": 1}),
        ("remove_label", {"label": "production"}),
        ("roll_back", {}),
    ):
        with pytest.raises(Forbidden, match="Only its author and administrators"):
            his.act(act, **how)
    hers.act("share", shared=False)
    assert his.names() == []


def test_ones_own_prompt_goes_before_a_shared_one_of_the_same_name(hers: Shelf, his: Shelf) -> None:
    hers.put("hers")
    hers.act("share", shared=True)
    his.put("his")
    assert his.runs("greet") == "1: his"
    assert hers.runs("greet") == "1: hers"
    assert his.shows("greet", user_id=hers.caller.user_id)["owner"]["name"] == "Alice"
    his.act("archive")
    assert his.runs("greet") == "1: hers"


def test_one_shared_prompt_holds_a_name(hers: Shelf, his: Shelf) -> None:
    hers.put("hers")
    his.put("his")
    hers.act("share", shared=True)
    hers.act("share", shared=True)
    with pytest.raises(Conflict, match="A shared prompt is named greet already"):
        his.act("share", shared=True)
    assert not his.shows("greet")["shared"]
    hers.act("archive")
    his.act("share", shared=True)
    assert hers.runs("greet") == "1: his"


def test_a_shared_prompts_draft_is_its_authors_alone(hers: Shelf, his: Shelf) -> None:
    hers.put("one", publish=False)
    hers.act("share", shared=True)
    with pytest.raises(NotFound, match="Unknown prompt: greet"):
        his.runs("greet@draft")
    assert his.names() == []
    hers.act("publish")
    hers.put("two", publish=False)
    assert his.numbers() == [1]
    assert (his.shows("greet")["draft"], hers.shows("greet")["draft"]) == (None, 2)
    for reference in ("greet@2", "greet@draft"):
        with pytest.raises(NotFound, match="Prompt greet has no"):
            his.runs(reference)


def test_an_administrator_sees_and_changes_everybodys(hers: Shelf, adas: Shelf) -> None:
    hers.put("one")
    owner = hers.caller.user_id
    assert adas.names() == []
    assert adas.names(all_users=True) == adas.names(user_id=owner) == ["greet"]
    assert adas.shows("greet", user_id=owner)["version"] == 1
    stored = adas.act("replace", definition=defined(content="two"), user_id=owner)
    assert (stored.prompt.user_id, stored.version.user_id) == (owner, adas.caller.user_id)
    assert hers.shows("greet")["author"]["name"] == "Ada"
    assert adas.put("three", user_id=owner).version.version == 3


def test_only_administrators_store_or_list_for_others(hers: Shelf, his: Shelf) -> None:
    with pytest.raises(Forbidden):
        his.put("one", user_id=hers.caller.user_id)
    with pytest.raises(Forbidden):
        his.names(all_users=True)
    operator = Shelf(his.database, OPERATOR)
    with pytest.raises(MissingParameter):
        operator.put("one")
    with pytest.raises(NotFound, match="Unknown user: 999"):
        operator.put("one", user_id=999)
    assert operator.put("one", user_id=his.caller.user_id).version.version == 1


def test_the_list_is_filtered_by_word_sharing_and_label(hers: Shelf, his: Shelf) -> None:
    hers.store(defined("letters", description="Answers 100% of mail"), defined("reports"))
    his.put("one", "weather")
    his.act("share", "weather", shared=True)
    hers.act("set_label", "reports", label="production", version=1)
    assert hers.names() == ["weather", "reports", "letters"]
    assert hers.names(q="LETTER") == hers.names(q="100%") == ["letters"]
    assert hers.names(q="1_0") == []
    assert hers.names(shared=True) == ["weather"]
    assert hers.names(shared=False) == ["reports", "letters"]
    assert hers.names(label="production") == ["reports"]
    assert hers.names(limit=1) == ["weather"]
    for wrong in ("latest", "draft", "No Label"):
        with pytest.raises(InvalidParameter, match="Invalid label"):
            hers.names(label=wrong)


# Labels


def test_a_label_is_moved_and_remembers_what_it_meant(hers: Shelf) -> None:
    hers.put("one")
    hers.put("two")
    assert hers.act("set_label", label="production", version=1).previous is None
    moved = hers.act("set_label", label="production", version=2)
    assert (moved.version, moved.previous) == (2, 1)
    again = hers.act("set_label", label="production", version=2)
    assert (again.version, again.previous) == (2, 1)
    assert hers.shows("greet")["labels"] == {"production": 2}
    hers.act("remove_label", label="production")
    assert hers.shows("greet")["labels"] == {}
    with pytest.raises(NotFound, match="Prompt greet has no label production"):
        hers.act("remove_label", label="production")


@pytest.mark.parametrize("label", ["latest", "draft", "", "3", "Prod", "a b", "x" * 65, "é", "a\n"])
def test_reserved_words_and_odd_ones_are_no_labels(hers: Shelf, label: str) -> None:
    hers.put("one")
    with pytest.raises(InvalidParameter, match="Invalid label"):
        hers.act("set_label", label=label, version=1)


def test_a_label_names_a_published_version(hers: Shelf) -> None:
    hers.put("one", publish=False)
    with pytest.raises(Conflict, match="Version 1 of prompt greet is a draft"):
        hers.act("set_label", label="production", version=1)
    with pytest.raises(NotFound, match="Prompt greet has no version 7"):
        hers.act("set_label", label="production", version=7)


def test_a_roll_back_moves_the_label_to_what_it_meant_before(hers: Shelf) -> None:
    for text in ("one", "two", "three"):
        hers.put(text)
    hers.act("set_label", label="production", version=2)
    hers.act("set_label", label="production", version=3)
    back = hers.act("roll_back")
    assert (back.label, back.version, back.before, back.copy_of) == ("production", 2, 3, None)
    assert hers.runs("greet") == "2: two"
    assert hers.numbers() == [3, 2, 1]
    back = hers.act("roll_back", version=1)
    assert (back.version, back.before) == (1, 2)


def test_a_label_that_meant_nothing_before_cannot_be_rolled_back(hers: Shelf) -> None:
    hers.put("one")
    hers.act("set_label", label="production", version=1)
    with pytest.raises(Conflict, match="has meant no other version before 1"):
        hers.act("roll_back")
    with pytest.raises(NotFound, match="has no label beta"):
        hers.act("roll_back", label="beta")


def test_without_production_a_roll_back_publishes_the_version_before_once_more(
    hers: Shelf,
) -> None:
    for text in ("one", "two"):
        hers.put(text)
    hers.put("draft", publish=False)
    back = hers.act("roll_back")
    assert (back.label, back.version, back.before, back.copy_of) == (None, 4, 2, 1)
    assert hers.runs("greet") == "4: one"
    again = hers.act("roll_back", version=1)
    assert (again.version, again.before) == (4, 4)
    assert hers.act("roll_back", version=2).version == 5


def test_a_prompt_of_one_version_has_nothing_to_go_back_to(hers: Shelf) -> None:
    hers.put("one")
    with pytest.raises(Conflict, match="has no version before its newest"):
        hers.act("roll_back")
    with pytest.raises(NotFound, match="has no version 5"):
        hers.act("roll_back", version=5)


def test_an_archived_prompt_is_gone_and_its_name_free(hers: Shelf) -> None:
    hers.put("one")
    hers.act("set_label", label="production", version=1)
    hers.act("archive")
    with pytest.raises(NotFound):
        hers.runs("greet@1")
    assert hers.names() == []
    assert hers.put("new").version.version == 1
    assert hers.shows("greet")["labels"] == {}


def test_acts_on_prompts_leave_a_trail(hers: Shelf, database: Database) -> None:
    hers.put("one")
    hers.put("two")
    hers.act("set_label", label="production", version=1)
    hers.act("set_label", label="production", version=2)
    hers.act("roll_back")
    hers.act("remove_label", label="production")
    hers.act("roll_back")
    hers.act("share", shared=True)
    hers.act("archive")
    with database.read() as session:
        events = session.scalars(
            select(AuditEvent)
            .where(AuditEvent.action.startswith("prompt."))
            .order_by(AuditEvent.id)
        ).all()
    assert [event.action.removeprefix("prompt.") for event in events] == [
        "labelled",
        "labelled",
        "rolled_back",
        "labelled",
        "rolled_back",
        "shared",
        "archived",
    ]
    assert {event.subject for event in events} == {"prompt:1"}
    assert events[2].details == {
        "name": "greet",
        "owner": hers.caller.user_id,
        "label": "production",
        "to": 1,
        "previous": 2,
    }


# What differs, and what uses it


def test_a_diff_tells_lines_pieces_and_places(hers: Shelf) -> None:
    hers.store(defined(content="Hello {{who}}", options={"temperature": 0}))
    hers.store(defined(content="Goodbye {{who}}", options={"temperature": 1}))
    hers.put("draft", publish=False)
    diff = hers.act("diff", before="1", after="2")
    assert (diff.before, diff.after) == (1, 2)
    lines = diff.unified.splitlines()
    assert lines[:2] == ["--- greet@1", "+++ greet@2"]
    assert any(line.startswith("-") and "Hello {{who}}" in line for line in lines)
    assert any(line.startswith("+") and "Goodbye {{who}}" in line for line in lines)
    assert "Hello" in diff.text.before
    assert "Goodbye" in diff.text.after
    places = {change.place: (change.before, change.after) for change in diff.values.changes}
    assert places == {
        "messages[0].content": ("Hello {{who}}", "Goodbye {{who}}"),
        "options.temperature": (0, 1),
    }
    assert hers.act("diff", before="1", after="draft").after == 3
    assert not hers.act("diff", before="2").values.differs
    with pytest.raises(NotFound, match="has no version 8"):
        hers.act("diff", before="8")


def test_a_diff_of_a_hundred_thousand_lines_is_not_searched(hers: Shelf) -> None:
    hers.put("a\nb\n" * 50_000)
    hers.put("b\na\n" * 50_000)
    diff = hers.act("diff", before="1", after="2")
    assert diff.text.coarse
    assert diff.unified.endswith("+++ greet@2\n(too long to be compared by lines)\n")


def ran(database: Database, user_id: int | None, name: str, version: int | None) -> int:
    job = NewJob(
        max_tries=1,
        max_age_seconds=60,
        template_name="t",
        model_name="simulator/echo",
        user_id=user_id,
        prompt_name=name,
        prompt_version=version,
    )
    with database.write() as session:
        (row,) = create(session, [job]).values()
        return row.output_id


def test_use_counts_the_outputs_a_caller_may_see_by_version(
    hers: Shelf, his: Shelf, adas: Shelf, database: Database
) -> None:
    ran(database, hers.caller.user_id, "greet", 9)  # of a prompt that was archived since
    hers.put("one")
    hers.put("two")
    hers.act("share", shared=True)
    mine = [ran(database, hers.caller.user_id, "greet", version) for version in (1, 2, 2)]
    yours = ran(database, his.caller.user_id, "greet", 2)
    his.put("his own")
    ran(database, his.caller.user_id, "greet", 1)
    ran(database, hers.caller.user_id, "other", 1)
    use = hers.act("used_by")
    assert list(use.versions) == [(2, 2), (1, 1)]
    assert [row.id for row in use.newest] == mine[::-1]
    assert not use.capped
    use = adas.act("used_by")
    assert list(use.versions) == [(2, 3), (1, 1)]
    assert [row.id for row in use.newest] == [yours, *mine[::-1]]
    use = his.act("used_by", user_id=hers.caller.user_id)
    assert list(use.versions) == [(2, 1)]
    assert list(his.act("used_by").versions) == [(1, 1)]


def test_use_names_the_prompts_that_build_on_it(hers: Shelf, his: Shelf) -> None:
    hers.put("You are kind.", "support")
    hers.act("share", "support", shared=True)
    hers.store(defined("reply", task="support"), defined("reply-x", task="supporter"))
    hers.store(defined("reply-3", task="support@1"))
    his.store(defined("other", task="support"))
    tasks = [prompt.name for prompt in hers.act("used_by", "support").tasks]
    assert tasks == ["reply-3", "reply"]
    assert [prompt.name for prompt in his.act("used_by", "support").tasks] == ["other"]


def test_what_a_job_ran_stays_when_its_prompt_is_archived(hers: Shelf, database: Database) -> None:
    hers.put("one")
    output_id = ran(database, hers.caller.user_id, "greet", 1)
    hers.act("archive")
    with database.read() as session:
        row = session.get_one(LLMOutput, output_id)
        assert (row.prompt_name, row.prompt_version) == ("greet", 1)
