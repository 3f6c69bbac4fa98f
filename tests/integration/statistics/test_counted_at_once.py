"""Votes and recoveries are counted in the transaction that makes them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from app import feedback, lifecycle, statistics
from app.accounts import OPERATOR
from app.statistics import votes
from models import FeedbackTotal, LLMOutput, Recovered, Recovery
from tests.integration.lifecycle.world import World, together


def vote(world: World, output_id: int, verdict: str) -> None:
    world.do(feedback.give, OPERATOR, output_id, feedback_type=verdict)


def totals(world: World) -> dict[tuple[str, str, str], int]:
    with world.database.read() as session:
        rows = session.scalars(select(FeedbackTotal))
        return {(row.value, row.template, row.model): row.votes for row in rows}


def test_a_vote_counts_when_it_changes_and_totals_only_rise(world: World) -> None:
    (job,) = world.post(prompt_name="greeting", prompt_version=2)
    for verdict in ("thumbs_up", "thumbs_up", "none", "thumbs_down", "thumbs_up"):
        vote(world, job.output_id, verdict)
    assert totals(world) == {
        ("thumbs_up", "greeting", "gpt-4"): 2,
        ("thumbs_down", "greeting", "gpt-4"): 1,
        ("none", "greeting", "gpt-4"): 1,
    }


def test_a_templates_text_is_nobodys_business(world: World) -> None:
    (job,) = world.post(template_name="My secret wish is {{wish}}")
    vote(world, job.output_id, "thumbs_down")
    assert totals(world) == {("thumbs_down", "raw", "gpt-4"): 1}


def test_the_same_click_from_two_windows_is_one_vote(world: World) -> None:
    (job,) = world.post()
    together(*[lambda: vote(world, job.output_id, "thumbs_up")] * 4)
    assert totals(world) == {("thumbs_up", "raw", "gpt-4"): 1}


def test_a_vote_that_is_not_committed_is_not_counted(world: World) -> None:
    (job,) = world.post()

    def break_off(session: Any) -> None:
        feedback.give(session, OPERATOR, job.output_id, feedback_type="thumbs_up")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        world.do(break_off)
    assert totals(world) == {}


def test_kinds_beyond_a_limit_are_counted_as_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(votes, "MOST_TOTALS", 2)
    for number in range(4):
        (job,) = world.post(model_name=f"model-{number}")
        vote(world, job.output_id, "thumbs_up")
    assert totals(world) == {
        ("thumbs_up", "raw", "model-0"): 1,
        ("thumbs_up", "raw", "model-1"): 1,
        ("thumbs_up", "other", "other"): 2,
    }


def test_recoveries_add_up_by_reason(world: World) -> None:
    counts = {Recovered.DEAD_WORKER: 2, Recovered.EXPIRED: 0}
    together(*[lambda: world.do(statistics.note_recoveries, counts)] * 4)
    with world.database.read() as session:
        found = {row.reason: row.total for row in session.scalars(select(Recovery))}
    assert found == {"dead_worker": 8}


def test_a_woken_row_says_whether_its_message_was_lost(world: World) -> None:
    lost, new = (world.post()[0].output_id for _ in range(2))
    with world.database.write() as session:
        woken = update(LLMOutput).where(LLMOutput.id == lost)
        session.execute(woken.values(woken_at=LLMOutput.created_at))
    due = world.do(lifecycle.due_rows, "default", room=10, rewake_seconds=0)
    assert {row.output_id: row.lost for row in due} == {lost: True, new: False}
