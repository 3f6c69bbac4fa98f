"""What calls used is counted once and exactly, and what was said is stored as it was said."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import lifecycle
from app.lifecycle import Claim, Report
from models import Outcome, Status
from tests.integration.lifecycle.world import (
    ENDINGS,
    LEASE,
    USED,
    World,
    again,
    completed,
    failed,
    retry_later,
    stopped,
)

TOKENS = 15
"""What one call of these tests uses (`world.USED`)."""


def zombie_and_holder(world: World, **changes: Any) -> tuple[Claim, Claim]:
    """A worker that was taken for dead, and the one that has its row now."""
    (delivery,) = world.post(**changes)
    (zombie,) = world.claim([delivery])
    world.elapse(LEASE)
    world.do(lifecycle.rescue)
    (holder,) = world.claim([delivery], worker="worker-2")
    return zombie, holder


def counted(world: World, output_id: int) -> tuple[int, int]:
    """Tokens of the row, and of its attempts together."""
    row = world.row(output_id)
    spent = sum((a.input_tokens or 0) + (a.output_tokens or 0) for a in world.attempts(output_id))
    return (row.input_tokens or 0) + (row.output_tokens or 0), spent


# Usage


def test_a_report_is_kept_whole(world: World) -> None:
    claim = world.claimed()
    report = Report(
        provider="openai",
        provider_model="gpt-4-0613",
        request_id="req_1",
        http_status=200,
        input_tokens=7,
        output_tokens=3,
        cached_tokens=2,
        cost=Decimal("0.000123456"),
        duration_seconds=1.25,
        first_token_seconds=0.5,
    )
    world.end("complete", claim.key, report=report)
    (attempt,) = world.attempts(claim.output_id)
    kept = {n: getattr(report, n) for n in Report.__dataclass_fields__ if n != "request_id"}
    assert {name: getattr(attempt, name) for name in kept} == kept
    assert attempt.provider_request_id == "req_1"


def test_each_call_of_a_debugged_job_keeps_its_own_exchange(world: World) -> None:
    claim = world.claimed()
    first, second = {"request": {"n": 1}}, {"request": {"text": HOSTILE}, "answer": None}
    world.end("again", claim.key, report=replace(USED, exchange=first))
    world.end("complete", (claim.output_id, 2), report=replace(USED, exchange=second))
    kept = [attempt.exchange for attempt in world.attempts(claim.output_id)]
    assert kept[0] == first
    assert (kept[1]["answer"], kept[1]["request"].keys()) == (None, {"text"})


def test_a_call_reported_twice_does_not_lose_its_exchange(world: World) -> None:
    claim = world.claimed()
    world.do(lifecycle.cancel, [claim.output_id])
    world.end("complete", claim.key, report=replace(USED, exchange={"request": {"n": 1}}))
    world.end("stop", claim.key)
    (attempt,) = world.attempts(claim.output_id)
    assert attempt.exchange == {"request": {"n": 1}}


def test_every_call_of_a_job_is_summed_up(world: World) -> None:
    user = world.user()
    (delivery,) = world.post(user_id=user)
    (claim,) = world.claim([delivery])
    world.do(lifecycle.again, [again(claim.key)])
    world.do(lifecycle.retry_later, [retry_later((claim.output_id, 2), delay_seconds=0)])
    world.do(lifecycle.complete, [completed(world.claim([delivery])[0].key)])
    assert counted(world, delivery.output_id) == (3 * TOKENS, 3 * TOKENS)
    assert world.tokens_used(user) == 3 * TOKENS


@pytest.mark.parametrize("verb", sorted(set(ENDINGS) - {"release", "snooze"}))
def test_a_zombies_bill_is_counted(world: World, verb: str) -> None:
    user = world.user()
    zombie, holder = zombie_and_holder(world, user_id=user)
    world.end(verb, zombie.key)
    world.end("complete", holder.key)
    assert counted(world, holder.output_id) == (2 * TOKENS, 2 * TOKENS)
    assert world.tokens_used(user) == 2 * TOKENS
    lost, _ = world.attempts(holder.output_id)
    assert (lost.outcome, lost.input_tokens) == (Outcome.LOST, 10)


def test_a_zombies_bill_is_counted_after_the_end(world: World) -> None:
    zombie, holder = zombie_and_holder(world)
    world.end("complete", holder.key, raw_response="fresh")
    ended = world.row(holder.output_id)
    world.end("complete", zombie.key, raw_response="stale")
    row = world.row(holder.output_id)
    assert counted(world, holder.output_id) == (2 * TOKENS, 2 * TOKENS)
    assert (row.raw_response, row.finished_at) == (ended.raw_response, ended.finished_at)
    assert world.attempts(holder.output_id)[0].text == "stale"


def test_a_discarded_answer_is_counted_once_though_its_worker_reports_twice(world: World) -> None:
    user = world.user()
    claim = world.claimed(user_id=user)
    world.do(lifecycle.cancel, [claim.output_id])
    world.do(lifecycle.complete, [completed(claim.key)])
    world.do(lifecycle.stop, [stopped(claim.key)])
    assert counted(world, claim.output_id) == (TOKENS, TOKENS)
    assert world.tokens_used(user) == TOKENS


def test_a_failure_after_a_refused_retry_is_counted_once(world: World) -> None:
    claim = world.claimed(max_tries=1)
    world.do(lifecycle.retry_later, [retry_later(claim.key)])
    world.do(lifecycle.fail, [failed(claim.key)])
    assert counted(world, claim.output_id) == (TOKENS, TOKENS)


def test_an_ending_written_again_is_counted_once(world: World) -> None:
    """A writer that lost its connection while it committed does not know, and writes again."""
    user = world.user()
    claim = world.claimed(user_id=user)
    for _ in range(3):
        world.do(lifecycle.complete, [completed(claim.key)])
    assert counted(world, claim.output_id) == (TOKENS, TOKENS)
    assert world.tokens_used(user) == TOKENS


def test_twins_in_one_batch_are_counted_once(world: World) -> None:
    user = world.user()
    claim = world.claimed(user_id=user)
    world.do(lifecycle.complete, [completed(claim.key), completed(claim.key)])
    assert counted(world, claim.output_id) == (TOKENS, TOKENS)
    assert world.tokens_used(user) == TOKENS


def test_a_zombie_and_a_holder_in_one_batch_are_both_counted(world: World) -> None:
    user = world.user()
    zombie, holder = zombie_and_holder(world, user_id=user)
    world.do(lifecycle.complete, [completed(zombie.key), completed(holder.key)])
    assert counted(world, holder.output_id) == (2 * TOKENS, 2 * TOKENS)
    assert world.tokens_used(user) == 2 * TOKENS


def test_several_verbs_in_one_transaction_are_all_counted(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    first, second = world.claimed(user_id=alice), world.claimed(user_id=bob)
    third = world.claimed(user_id=alice)
    with world.database.write() as session:
        lifecycle.lock(session, [first.output_id, second.output_id, third.output_id])
        lifecycle.complete(session, [completed(first.key), completed(second.key)])
        lifecycle.fail(session, [failed(third.key)])
    assert (world.tokens_used(alice), world.tokens_used(bob)) == (2 * TOKENS, TOKENS)


def test_a_batch_that_is_rolled_back_counts_nothing(world: World) -> None:
    user = world.user()
    claim = world.claimed(user_id=user)

    def complete_and_die(session: Session) -> None:
        lifecycle.complete(session, [completed(claim.key)])
        raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        world.do(complete_and_die)
    assert counted(world, claim.output_id) == (0, 0)
    assert world.tokens_used(user) == 0
    assert world.row(claim.output_id).status == Status.PROCESSING


def test_what_no_provider_said_stays_unknown(world: World) -> None:
    claim = world.claimed()
    world.end("complete", claim.key, report=Report(input_tokens=1))
    row = world.row(claim.output_id)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens, row.cost) == (
        1,
        None,
        None,
        None,
    )


def test_costs_add_up_exactly(world: World) -> None:
    (delivery,) = world.post(max_tries=12)
    for _ in range(10):
        report = Report(input_tokens=1, cost=Decimal("0.000000001"))
        (claim,) = world.claim([delivery])
        world.end("retry_later", claim.key, delay_seconds=0, report=report)
    (claim,) = world.claim([delivery])
    world.end("complete", claim.key, report=Report(cost=Decimal("0.1")))
    assert world.row(delivery.output_id).cost == Decimal("0.100000010")


ABSURD = [10**12, -(10**12), 2**31, 2**63, -1]


@pytest.mark.parametrize("number", ABSURD)
def test_absurd_numbers_of_a_provider_do_not_hinder_the_end(world: World, number: int) -> None:
    (delivery,) = world.post()
    report = Report(
        http_status=number,
        input_tokens=number,
        output_tokens=number,
        cached_tokens=number,
        cost=Decimal(number),
        duration_seconds=float("inf"),
        first_token_seconds=float("nan"),
        provider="p" * 1000,
        provider_model="m\x00" * 1000,
        request_id="r\ud800" * 1000,
    )
    for verb in ("retry_later", "retry_later", "complete"):
        changes = {"delay_seconds": 0} if verb == "retry_later" else {}
        assert world.end(verb, world.claim([delivery])[0].key, report=report, **changes)
    assert world.row(delivery.output_id).input_tokens >= 0


# Texts and values


SHAPES: list[Any] = [
    "a string",
    "",
    "null",
    '"quoted"',
    "12",
    "größe — 语言 🎈 \u2028",
    [],
    {},
    [1, [2, [3, {"deep": [None, True, False]}]]],
    {"z": 1, "a": {"y": 2, "b": 3}, "": "empty key", "$.path": 1, "quo'te\"s": "\\"},
    0,
    False,
    True,
    12345678901234567890123,
    1e308,
    -0.1,
    5e-324,
    [1e308, 2**70, 1.0],
    {"long": "x" * 200_000},
    "%s %(name)s :rows ? $1",
    "\\u0000 and \\ud800, written out",
]


@pytest.mark.parametrize("value", SHAPES, ids=lambda value: repr(value)[:30])
def test_a_parsed_answer_of_any_shape_is_kept(world: World, value: Any) -> None:
    claim = world.claimed()
    world.end("complete", claim.key, raw_response=json.dumps(value), parsed_output=value)
    row = world.row(claim.output_id)
    assert json.dumps(row.parsed_output) == json.dumps(value)
    assert row.raw_response == json.dumps(value)


def test_an_answer_of_null_is_no_value(world: World) -> None:
    claim = world.claimed()
    world.end("complete", claim.key, raw_response="null", parsed_output=None)
    assert world.row(claim.output_id).parsed_output is None
    with world.database.read() as session:
        query = text("SELECT count(*) FROM llm_outputs WHERE parsed_output IS NULL")
        assert session.scalar(query) == 1


def test_keys_keep_their_order(world: World) -> None:
    context = {"zebra": 1, "ape": {"y": 1, "x": 2}, "b": 3}
    claim = world.claimed(context=context)
    assert json.dumps(claim.context) == json.dumps(context)


HOSTILE = "a\x00b \ud800 c"
MENDED = "a\ufffdb \ufffd c"


def test_nul_and_lone_surrogates_never_hinder_a_row(world: World) -> None:
    nested = {HOSTILE: [HOSTILE, {"k": HOSTILE}]}
    (delivery,) = world.post(
        template_name=HOSTILE,
        context=nested,
        system=HOSTILE,
        messages=[{"role": "user", "content": HOSTILE}],
        metadata=nested,
        prompt_name=HOSTILE,
        warnings=[HOSTILE],
    )
    (claim,) = world.claim([delivery], worker="w")
    mended = {MENDED: [MENDED, {"k": MENDED}]}
    assert (claim.template_name, claim.context, claim.system) == (MENDED, mended, MENDED)
    world.do(lifecycle.again, [again(claim.key, prompt=HOSTILE, error_message=HOSTILE)])
    key = (claim.output_id, 2)
    answer = {"raw_response": HOSTILE, "parsed_output": nested, "result_items": nested}
    world.end("complete", key, **answer, prompt=HOSTILE, warnings=[HOSTILE])
    row = world.row(claim.output_id)
    assert (row.raw_response, row.prompt, row.warnings) == (MENDED, MENDED, [MENDED])
    assert (row.parsed_output, row.result_items) == (mended, mended)


@pytest.mark.parametrize("verb", ["retry_later", "snooze", "fail"])
def test_a_hostile_error_message_never_hinders_a_row(world: World, verb: str) -> None:
    claim = world.claimed()
    assert world.end(verb, claim.key, error_message=HOSTILE, error_code="x" * 1000)
    assert world.row(claim.output_id).error_message == MENDED
    assert world.attempts(claim.output_id)[0].error_message == MENDED


def test_a_hostile_text_that_lost_its_race_is_kept_mended(world: World) -> None:
    claim = world.claimed()
    world.do(lifecycle.cancel, [claim.output_id])
    world.end("complete", claim.key, raw_response=HOSTILE)
    world.end("stop", claim.key, partial_text=HOSTILE)
    assert world.attempts(claim.output_id)[0].text == MENDED
    assert world.row(claim.output_id).raw_response == MENDED
