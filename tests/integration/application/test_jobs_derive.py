"""Re-run and regenerate: a child that names its parent, and a parent that never changes."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from app import accounts, jobs
from app.accounts import Caller
from app.errors import AllowanceUsedUp, Conflict, InvalidRequest, NotFound
from models import LLMOutput, User
from tests.integration.application.conftest import Rows

EVERYTHING: dict[str, Any] = {
    "format": "json",
    "queue": "low",
    "options": {"temperature": 0.5},
    "system": "Be kind.",
    "response_schema": {"type": "object"},
    "metadata": {"ticket": "7"},
}
REPEATED = (
    "template_name",
    "model_name",
    "context",
    "format",
    "system",
    "messages",
    "response_schema",
    "options",
    "fetchers",
    "strict",
    "metadata_",
    "bucket",
    "queue",
    "agent_id",
    "user_id",
    "max_tries",
)


def snapshot(row: LLMOutput) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in LLMOutput.__mapper__.column_attrs}


def ended(rows: Rows, caller: Caller, how: str, **fields: Any) -> int:
    done = rows.submit(caller, **fields)
    if how == "completed":
        rows.complete(done.output_id)
    elif how == "failed":
        rows.fail(done.output_id)
    else:
        jobs.cancel(rows.runtime.real, caller, done.job_id)
    return done.output_id


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled"])
def test_a_re_run_repeats_everything_and_changes_no_parent(
    rows: Rows, alice: Caller, how: str
) -> None:
    parent_id = ended(rows, alice, how, **EVERYTHING)
    before = snapshot(rows.read(parent_id))
    done = jobs.re_run(rows.runtime.real, alice, parent_id)
    assert snapshot(rows.read(parent_id)) == before
    child, parent = rows.read(done.output_id), rows.read(parent_id)
    for name in REPEATED:
        assert getattr(child, name) == getattr(parent, name), name
    assert (child.parent_id, child.root_id, child.derivation) == (parent_id, parent_id, "re_run")
    assert (child.status, child.fence, child.tries, child.prompt) == ("pending", 0, 0, None)
    assert child.job_id != parent.job_id
    assert rows.runtime.wake.sent[-1].output_id == child.id


def test_a_grandchild_names_its_parent_and_the_first_of_its_line(rows: Rows, alice: Caller) -> None:
    first = rows.completed(alice)
    second = jobs.re_run(rows.runtime.real, alice, first).output_id
    rows.complete(second)
    third = jobs.regenerate(rows.runtime.real, alice, second, context={"name": "B"})
    row = rows.read(third.output_id)
    assert (row.parent_id, row.root_id, row.derivation) == (second, first, "regenerate")


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"context": {"name": "B"}}, "context", {"name": "B"}),
        ({"context": {}}, "context", {}),
        ({"model": "simulator/other"}, "model_name", "simulator/other"),
        ({"template": "Bye {{name}}"}, "template_name", "Bye {{name}}"),
        ({"options": {"max_tokens": 5}}, "options", {"max_tokens": 5}),
    ],
)
def test_regenerate_changes_what_is_named_and_keeps_the_rest(
    rows: Rows, alice: Caller, changes: dict[str, Any], column: str, value: Any
) -> None:
    parent_id = rows.completed(alice, **EVERYTHING)
    parent = rows.read(parent_id)
    child = rows.read(jobs.regenerate(rows.runtime.real, alice, parent_id, **changes).output_id)
    assert getattr(child, column) == value
    moved = {column, "bucket"} if column == "model_name" else {column}
    for name in set(REPEATED) - moved:
        assert getattr(child, name) == getattr(parent, name), name


def test_a_new_model_is_routed_anew(rows: Rows, alice: Caller) -> None:
    parent_id = rows.completed(alice)
    done = jobs.regenerate(rows.runtime.real, alice, parent_id, model="simulator/other")
    assert rows.read(done.output_id).bucket.startswith("simulator:other:")


def test_a_new_template_replaces_messages(rows: Rows, alice: Caller) -> None:
    messages = [{"role": "user", "content": "Hi {{name}}"}]
    parent_id = rows.completed(alice, template=None, messages=messages)
    again = jobs.re_run(rows.runtime.real, alice, parent_id)
    assert rows.read(again.output_id).messages == messages
    other = jobs.regenerate(rows.runtime.real, alice, parent_id, template="Bye")
    assert rows.read(other.output_id).messages is None
    assert rows.read(other.output_id).template_name == "Bye"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"template": " "}, "Missing required parameter: template"),
        ({"model": ""}, "Missing required parameter: model"),
        ({"context": [1]}, "Context must be a hash/object"),
        ({"model": "mystery-1"}, "Unsupported model: mystery-1"),
        ({"options": 5}, "Invalid options"),
        ({"template": 5}, "Invalid template"),
    ],
)
def test_regenerate_refuses_as_submit_does(
    rows: Rows, alice: Caller, changes: dict[str, Any], error: str
) -> None:
    parent_id = rows.completed(alice)
    with pytest.raises(InvalidRequest, match=error):
        jobs.regenerate(rows.runtime.real, alice, parent_id, **changes)
    assert rows.count() == 1


def test_a_job_that_has_not_ended_has_no_children(rows: Rows, alice: Caller) -> None:
    pending = rows.submit(alice).output_id
    with pytest.raises(Conflict, match="still pending"):
        jobs.re_run(rows.runtime.real, alice, pending)
    rows.claim(pending)
    with pytest.raises(Conflict, match="still processing"):
        jobs.regenerate(rows.runtime.real, alice, pending, context={})
    assert rows.count() == 1


def test_an_erased_row_has_nothing_to_run_again(rows: Rows, alice: Caller) -> None:
    parent_id = rows.completed(alice)
    with rows.runtime.database.write() as session:
        jobs.erase(session, alice, parent_id)
    with pytest.raises(Conflict, match="erased"):
        jobs.re_run(rows.runtime.real, alice, parent_id)


def test_a_child_stays_with_the_owner_whoever_asks(
    rows: Rows, alice: Caller, admin: Caller
) -> None:
    parent_id = rows.completed(alice)
    child = rows.read(jobs.re_run(rows.runtime.real, admin, parent_id).output_id)
    assert child.user_id == alice.user_id


def test_the_owners_allowance_counts(rows: Rows, alice: Caller) -> None:
    parent_id = rows.completed(alice)
    with rows.runtime.database.write() as session:
        session.execute(update(User).values(token_allowance=0))
    with pytest.raises(AllowanceUsedUp):
        jobs.re_run(rows.runtime.real, alice, parent_id)


def test_a_re_run_repeats_the_job_and_not_what_its_agent_says_by_now(
    rows: Rows, alice: Caller
) -> None:
    with rows.runtime.database.write() as session:
        agent = accounts.create_agent(session, alice, name="A", options={"temperature": 0})
    parent_id = rows.completed(alice, agent_id=agent.id)
    with rows.runtime.database.write() as session:
        accounts.update_agent(session, alice, agent.id, system="New.", options={"temperature": 1})
    child = rows.read(jobs.re_run(rows.runtime.real, alice, parent_id).output_id)
    assert (child.agent_id, child.system, child.options) == (agent.id, None, {"temperature": 0})


def test_a_strangers_row_cannot_be_a_parent(rows: Rows, alice: Caller, charlie: Caller) -> None:
    parent_id = rows.completed(alice)
    for unknown in (parent_id, 10**30, 0, -1):
        with pytest.raises(NotFound):
            jobs.re_run(rows.runtime.real, charlie, unknown)
        with pytest.raises(NotFound):
            jobs.regenerate(rows.runtime.real, charlie, unknown, context={})
    assert rows.count() == 1
