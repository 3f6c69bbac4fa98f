"""The state machine of the property test: random acts on a real database, next to the model.

Each rule does one thing both to the database and to the model, and compares the answers; after each
rule the rows must be what the model says and the invariants must hold; at the end the faults stop
and everything must end. Workers may die, dawdle and come back: what they once held stays in their
hands (`calls`), and they report it whenever they like, as often as they like.

Hypothesis tells its own stories with the rules, and makes a failing one short. `tell` tells plainly
random ones: Hypothesis varies few stories a little, which finds less in the same time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from app import lifecycle
from app.lifecycle import Delivery, Held
from models import ControlKind, Kind, Outcome, Status
from tests.integration.lifecycle.model import Job, Model
from tests.integration.lifecycle.world import USED, World, again, new_job

UNIT = 1000.0
"""Seconds of one unit of time: so many that the seconds a test run takes do not matter."""

LEASE = 4
REWAKE = 2
AGE = 14
TOKENS = 15
MOST_ROWS = 12
MOST_CALLS = 12
QUEUES = ["high", "default", "low"]
MODELS = ["one", "two"]
WORKERS = ["a", "b", "c"]
PAUSES = [
    (ControlKind.QUEUE, "default"),
    (ControlKind.MODEL, "one"),
    (ControlKind.BUCKET, "bucket of two"),
]
REPORTS = ["complete", "fail", "retry_later", "retry_later", "snooze", "again", "release", "stop"]
DELAYS = [0, 1, 2, 5]
FOREVER_SAME = ("status", "raw_response", "parsed_output", "finished_at", "error_code", "run_at")

Dice = random.Random
dice = st.integers(0, 2**32 - 1).map(random.Random)
"""Every choice of a rule is made by one of these: a rule's call is one number."""


@dataclass(frozen=True)
class Call:
    """A call in a worker's hand; its row may long be somebody else's."""

    worker: str
    output_id: int
    fence: int

    @property
    def key(self) -> tuple[int, int]:
        return (self.output_id, self.fence)


class Lifecycle(RuleBasedStateMachine):
    """Everything that can happen to jobs. Give it a world of its own."""

    def __init__(self, world: World) -> None:
        super().__init__()
        world.clear()
        self.world = world
        self.model = Model()
        self.users = [world.user("alice"), world.user("bob"), None]
        self.job_ids: dict[int, str] = {}
        self.broker: list[Delivery] = []
        self.calls: list[Call] = []
        self.granted: set[tuple[int, int]] = set()
        self.ended: dict[int, tuple[Any, ...]] = {}
        self.verb = "create"

    @initialize(dice=dice)
    def begin(self, dice: Dice) -> None:
        for _ in range(dice.randint(1, 4)):
            self.post(dice=dice)

    # Those who ask

    @precondition(lambda self: len(self.model.jobs) < MOST_ROWS)
    @rule(dice=dice)
    def post(self, dice: Dice) -> None:
        self._accept(
            user=dice.choice(self.users),
            queue=dice.choice(QUEUES),
            model=dice.choice(MODELS),
            delay=dice.choice([0, 0, *DELAYS]),
            publish=dice.random() < 0.7,
            tries=dice.choice([1, 1, 2, 3]),
        )

    @precondition(lambda self: len(self.model.jobs) < MOST_ROWS and self._ended_rows())
    @rule(dice=dice)
    def run_again(self, dice: Dice) -> None:
        parent = dice.choice(self._ended_rows())
        job = self.model.jobs[parent]
        facts: dict[str, Any] = {"user": job.user, "queue": job.queue, "model": job.model}
        self._accept(**facts, delay=0, publish=False, tries=2, parent=parent)

    @precondition(lambda self: self.model.jobs)
    @rule(dice=dice)
    def cancel(self, dice: Dice) -> None:
        output_id = self._row(dice)
        for _ in range(dice.choice([1, 2])):
            moved = output_id in self._do("cancel", [output_id])
            assert moved == self.model.cancel(output_id)

    @precondition(lambda self: self.model.jobs)
    @rule(dice=dice)
    def advance(self, dice: Dice) -> None:
        output_id = self._row(dice)
        moved = output_id in self._do("advance", [output_id])
        assert moved == self.model.advance(output_id)

    @precondition(lambda self: self.model.jobs)
    @rule(dice=dice)
    def give_feedback(self, dice: Dice) -> None:
        output_id, verdict = self._row(dice), dice.randint(0, 2)
        self.world.set(output_id, feedback=verdict)
        self.model.jobs[output_id].feedback = verdict

    @rule(dice=dice)
    def pause(self, dice: Dice) -> None:
        (kind, name), units = dice.choice(PAUSES), dice.choice([1, 3, None])
        self._do("pause", kind, name, seconds=None if units is None else units * UNIT)
        self.model.pause(kind, name, units)

    @precondition(lambda self: self.model.pauses)
    @rule(dice=dice)
    def resume(self, dice: Dice) -> None:
        kind, name = dice.choice(PAUSES)
        assert self._do("resume", kind, name) == self.model.resume(kind, name)

    # The broker

    @precondition(lambda self: self.broker)
    @rule(dice=dice)
    def deliver(self, dice: Dice) -> None:
        dice.shuffle(self.broker)
        number = dice.choice([1, 1, len(self.broker)])
        messages, self.broker = self.broker[:number], self.broker[number:]
        self._claim(messages, dice.choice(WORKERS))

    @precondition(lambda self: self.broker)
    @rule(dice=dice)
    def double_a_message(self, dice: Dice) -> None:
        self.broker.append(dice.choice(self.broker))

    @precondition(lambda self: self.broker)
    @rule()
    def lose_all_messages(self) -> None:
        self.broker.clear()

    @precondition(lambda self: self.model.jobs)
    @rule(dice=dice)
    def deliver_out_of_nowhere(self, dice: Dice) -> None:
        self._claim([self._message(self._row(dice))], dice.choice(WORKERS))

    # Workers

    @precondition(lambda self: self.calls)
    @rule(dice=dice)
    def kill(self, dice: Dice) -> None:
        dead = dice.choice(WORKERS)
        self.calls = [call for call in self.calls if call.worker != dead]

    @precondition(lambda self: self.calls)
    @rule(dice=dice)
    def beat(self, dice: Dice) -> None:
        worker = dice.choice(self.calls).worker
        keys = {call.key for call in self.calls if call.worker == worker}
        renewed = self._do("renew", [Held(*key) for key in keys], lease_seconds=LEASE * UNIT)
        for key in keys:
            assert (key in renewed) == self.model.renew(*key, LEASE)
            if key in renewed:
                assert renewed[key].cancel_requested == self.model.jobs[key[0]].asked

    @precondition(lambda self: self.calls)
    @rule(dice=dice)
    def report(self, dice: Dice) -> None:
        """A worker says what came of a call, be the row still his or not; refused, it stops."""
        call, how = dice.choice(self.calls), dice.choice(REPORTS)
        self._report(call, how, dice.choice(DELAYS))
        if self.model.jobs[call.output_id].asked:
            self._report(call, dice.choice(["stop", "stop", how]), delay=0)

    @precondition(lambda self: self.calls)
    @rule(dice=dice)
    def steal(self, dice: Dice) -> None:
        """The lease runs out, the row is rescued and claimed by another while the zombie lives."""
        zombie = dice.choice(self.calls)
        self._pass(LEASE)
        self._sweep("rescue")
        self._claim([self._message(zombie.output_id)], dice.choice(WORKERS))
        if dice.random() < 0.5:
            self._report(zombie, dice.choice(REPORTS), delay=1)

    # Dispatchers, and time

    @rule(dice=dice)
    def sweep(self, dice: Dice) -> None:
        self._sweep(dice.choice(["rescue", "expire"]))

    @rule(dice=dice)
    def dispatch(self, dice: Dice) -> None:
        self._dispatch(dice.choice(QUEUES), room=dice.choice([1, 2, 100]), sent=dice.random() < 0.8)

    @rule(dice=dice)
    def time_passes(self, dice: Dice) -> None:
        self._pass(dice.choice([1, 1, 2, LEASE]))

    # What must hold at every moment

    @invariant()
    def rows_are_what_the_model_says(self) -> None:
        rows, attempts, tokens = self.world.snapshot()
        assert rows.keys() == self.model.jobs.keys()
        for output_id, job in self.model.jobs.items():
            assert _seen(rows[output_id]) == _expected(job), f"row {output_id} after {self.verb}"
        self._ends_are_final(rows)
        self._attempts_add_up(rows, attempts, tokens)

    def _ends_are_final(self, rows: dict[int, Any]) -> None:
        for output_id, row in rows.items():
            if Status(row.status).ended:
                end = tuple(getattr(row, name) for name in FOREVER_SAME)
                assert self.ended.setdefault(output_id, end) == end
            if row.status == Status.COMPLETED:
                assert row.raw_response == f"answer {row.fence}"
                assert row.parsed_output == {"fence": row.fence}
            if row.parent_id is not None:
                parent = rows[row.parent_id]
                assert Status(parent.status).ended
                assert parent.user_id == row.user_id

    def _attempts_add_up(
        self, rows: dict[int, Any], attempts: dict[int, list[Any]], tokens: dict[int, int]
    ) -> None:
        spent = dict.fromkeys(self.users, 0)
        for output_id, row in rows.items():
            job, made = self.model.jobs[output_id], attempts.get(output_id, [])
            assert [a.number for a in made] == list(range(1, row.fence + 1))
            assert [(a.kind, a.outcome) for a in made] == [(c.kind, c.outcome) for c in job.calls]
            running = [a for a in made if a.outcome == Outcome.RUNNING]
            assert len(running) <= (row.status == Status.PROCESSING)
            used = [(a.input_tokens or 0) + (a.output_tokens or 0) for a in made]
            assert used == [TOKENS * c.counted for c in job.calls]
            assert (row.input_tokens or 0) + (row.output_tokens or 0) == sum(used)
            spent[row.user_id] += sum(used)
        assert tokens == {user: used for user, used in spent.items() if user is not None}

    def teardown(self) -> None:
        """When faults stop, everything ends."""
        for kind, name in PAUSES:
            self._do("resume", kind, name)
            self.model.resume(kind, name)
        for _ in range(2 + AGE // LEASE):
            self._pass(LEASE)
            self._sweep("rescue")
            self._sweep("expire")
            for queue in QUEUES:
                self._dispatch(queue, room=100, sent=True)
            messages, self.broker = self.broker, []
            for call in self._claim(messages, "the good one"):
                self._report(call, "complete", delay=0)
            if not self.model.live():
                break
        self.rows_are_what_the_model_says()
        assert self.model.live() == []

    # How it is done

    def _do(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        self.verb = verb
        return self.world.do(getattr(lifecycle, verb), *args, **kwargs)

    def _accept(
        self,
        *,
        user: int | None,
        queue: str,
        model: str,
        delay: int,
        publish: bool,
        tries: int,
        parent: int | None = None,
    ) -> None:
        self.verb = "create"
        job = new_job(
            user_id=user,
            queue=queue,
            model_name=model,
            bucket=f"bucket of {model}",
            max_tries=tries,
            max_age_seconds=AGE * UNIT,
            run_at=datetime.now(UTC) + timedelta(seconds=delay * UNIT) if delay else None,
            wake_now=publish,
            parent_id=parent,
        )
        (made,) = self.world.create([job])
        self.job_ids[made.output_id] = made.job_id
        clock = self.model.clock
        self.model.jobs[made.output_id] = Job(
            user=user,
            queue=queue,
            model=model,
            max_tries=tries,
            run_at=clock + delay,
            deadline=clock + AGE,
            woken=clock if publish and not delay else None,
        )
        if publish:
            self.broker.append(Delivery(made.output_id, made.job_id))

    def _claim(self, messages: list[Delivery], worker: str) -> list[Call]:
        self.verb = "claim"
        claims = self.world.claim(messages, worker=worker, lease=LEASE * UNIT)
        named = {message.output_id for message in messages}
        expected = {output_id for output_id in named if self.model.claim(output_id, LEASE)}
        assert {claim.output_id for claim in claims} == expected
        return [self._grant(Call(worker, *claim.key)) for claim in claims]

    def _grant(self, call: Call) -> Call:
        """A call is about to be made: never twice under one attempt."""
        assert call.key not in self.granted
        self.granted.add(call.key)
        self.calls = [*self.calls, call][-MOST_CALLS:]
        return call

    def _report(self, call: Call, how: str, delay: int) -> None:
        key, wait = call.key, {"delay_seconds": delay * UNIT}
        match how:
            case "complete":
                answer = f"answer {call.fence}"
                facts = {"raw_response": answer, "parsed_output": {"fence": call.fence}}
                assert self._end(how, key, **facts) == self.model.complete(*key, answer)
            case "fail":
                assert self._end(how, key, error_code="refused") == self.model.fail(*key, "refused")
            case "retry_later":
                expected = self.model.retry_later(*key, delay, "timeout")
                assert self._end(how, key, **wait, error_code="timeout") == expected
            case "snooze":
                self.model.pause(ControlKind.BUCKET, "bucket of two", delay)
                expected = self.model.snooze(*key, delay, "rate_limited")
                assert self._end(how, key, **wait, pause_bucket="bucket of two") == expected
            case "release":
                assert self._end(how, key) == self.model.release(*key)
            case "stop":
                assert self._end(how, key, partial_text="half") == self.model.stop(*key, "half")
            case "again":
                self._call_again(call)

    def _end(self, verb: str, key: tuple[int, int], **changes: Any) -> bool:
        self.verb = verb
        report = {} if verb == "release" else {"report": USED}
        return key in self.world.end(verb, key, **report, **changes)

    def _call_again(self, call: Call) -> None:
        item = again(call.key, worker=call.worker, lease_seconds=LEASE * UNIT)
        moved = self._do("again", [item])
        assert (call.key in moved) == self.model.again(*call.key, Kind.REPAIR, LEASE)
        if moved:
            self._grant(Call(call.worker, call.output_id, moved[call.key]))

    def _sweep(self, verb: str) -> None:
        expected = self.model.rescue() if verb == "rescue" else self.model.expire()
        assert set(self._do(verb)) == expected

    def _dispatch(self, queue: str, *, room: int, sent: bool) -> None:
        self._do("lift_elapsed_pauses")
        self.model.lift_elapsed_pauses()
        due = self.model.due(queue, REWAKE)
        assert self._do("anything_due", queue, rewake_seconds=REWAKE * UNIT) == bool(due)
        chosen = self.world.due(queue, room=room, rewake=REWAKE * UNIT)
        assert len(chosen) == len(set(chosen)) == min(room, len(due))
        assert set(chosen) <= due
        self.model.mark_woken(set(chosen))
        if sent:
            self.broker += map(self._message, chosen)
        else:
            self._do("mark_unsent", chosen)
            self.model.mark_unsent(set(chosen))

    def _pass(self, units: int) -> None:
        self.world.elapse(units * UNIT)
        self.model.clock += units

    def _row(self, dice: Dice) -> int:
        return dice.choice(list(self.model.jobs))

    def _ended_rows(self) -> list[int]:
        return [output_id for output_id, job in self.model.jobs.items() if job.ended]

    def _message(self, output_id: int) -> Delivery:
        return Delivery(output_id, self.job_ids[output_id])


def tell(world: World, seeds: Iterable[int], *, steps: int = 40) -> None:
    """Plainly random stories, one for each seed. Raises AssertionError naming the seed."""
    for seed in seeds:
        machine, dice = Lifecycle(world), Dice(seed)
        told: list[str] = []
        try:
            machine.begin(dice=dice)
            for _ in range(steps):
                machine.rows_are_what_the_model_says()
                _one_step(machine, dice, told)
            machine.teardown()
        except AssertionError as error:
            raise AssertionError(f"{error}\nseed {seed}: {', '.join(told)}") from error


def _one_step(machine: Lifecycle, dice: Dice, told: list[str]) -> None:
    possible = [r for r in machine.rules if all(may(machine) for may in r.preconditions)]
    often = [OFTEN.get(r.function.__name__, 1) for r in possible]
    (chosen,) = dice.choices(possible, weights=often)
    told.append(chosen.function.__name__)
    chosen.function(machine, **({"dice": dice} if chosen.arguments_strategies else {}))


OFTEN = {"deliver": 4, "report": 5, "dispatch": 3, "steal": 2, "time_passes": 2}
"""How much more often than others these rules are told."""


def _seen(row: Any) -> dict[str, Any]:
    pending = row.status == Status.PENDING
    return {
        "status": row.status,
        "fence": row.fence,
        "tries": row.tries,
        "losses": row.losses,
        "leased": row.lease_expires_at is not None,
        "held": row.worker is not None,
        "finished": row.finished_at is not None,
        "asked": row.cancel_requested_at is not None,
        "sent": row.woken_at is not None if pending else None,
        "error": row.error_code,
        "feedback": row.feedback,
        "result": row.raw_response,
    }


def _expected(job: Job) -> dict[str, Any]:
    pending = job.status == Status.PENDING
    return {
        "status": job.status,
        "fence": job.fence,
        "tries": job.tries,
        "losses": job.losses,
        "leased": job.lease is not None,
        "held": job.lease is not None,
        "finished": job.ended,
        "asked": job.asked,
        "sent": job.woken is not None if pending else None,
        "error": job.error,
        "feedback": job.feedback,
        "result": job.result,
    }
