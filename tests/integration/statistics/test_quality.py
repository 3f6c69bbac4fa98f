"""What the Quality page is told: right numbers, for the right person, from rows and votes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from app import lifecycle
from app.accounts import OPERATOR, Caller
from app.errors import Forbidden, InvalidParameter, NotFound
from app.lifecycle import Report
from app.statistics import quality, ratings
from app.statistics.intervals import confidence_sequence, difference, wilson
from app.statistics.quality import GroupBy, Selection, Step
from models import Feedback, LLMOutput, Role, job_statistics
from models.base import table_of
from models.statistics import ALL_TIME
from tests.integration.lifecycle.world import World, earlier
from tests.integration.statistics.counted import settle

_T = table_of(LLMOutput)
DAY = timedelta(days=1)
USED = Report(provider="openai", input_tokens=10, output_tokens=5, cost=Decimal("0.25"))


def now() -> datetime:
    return datetime.now(UTC)


def lately(**changes: Any) -> Selection:
    facts: dict[str, Any] = {"since": now() - DAY, "until": now() + timedelta(minutes=5)}
    return Selection(**(facts | changes))


def member(user_id: int) -> Caller:
    return Caller(user_id=user_id, email=f"user-{user_id}@example.org")


def complete(world: World, count: int = 1, *, up: int = 0, down: int = 0, **job: Any) -> list[int]:
    """Completed jobs, some with a vote."""
    claims = world.claim(world.post(count, **job))
    world.end("complete", *(claim.key for claim in claims), report=USED)
    ids = [claim.output_id for claim in claims]
    for verdict, chosen in (
        (Feedback.THUMBS_UP, ids[:up]),
        (Feedback.THUMBS_DOWN, ids[up:][:down]),
    ):
        for output_id in chosen:
            world.set(output_id, feedback=int(verdict))
    return ids


def last(world: World, ids: list[int], seconds: float) -> None:
    """Let these rows have been accepted so long before their end."""
    with world.database.write() as session:
        moved = {"created_at": earlier(_T.c.finished_at, seconds)}
        session.execute(update(_T).where(_T.c.id.in_(ids)).values(moved))


def age(world: World, by: timedelta) -> None:
    """Let all that was counted have happened so much earlier."""
    with world.database.write() as session:
        moved = {"hour": earlier(job_statistics.c.hour, by.total_seconds())}
        session.execute(
            update(job_statistics).where(job_statistics.c.hour > ALL_TIME).values(moved)
        )


def overview(world: World, caller: Caller = OPERATOR, **changes: Any) -> quality.Overview:
    settle(world)
    with world.database.read() as session:
        return quality.overview(session, caller, lately(**changes))


def groups(world: World, by: GroupBy, caller: Caller = OPERATOR, **changes: Any) -> dict[str, Any]:
    settle(world)
    with world.database.read() as session:
        found = quality.groups(session, caller, lately(**changes), by)
        return {group.name: group for group in found.groups}


def test_an_empty_platform_has_no_numbers_and_breaks_nothing(world: World) -> None:
    found = overview(world)
    assert (found.numbers.ended, found.numbers.success_rate, found.numbers.p50) == (0, None, None)
    assert (found.rating.rate, found.rating.response_rate) == (None, None)
    assert (found.rating.sequence.low, found.rating.sequence.high) == (0, 1)
    assert groups(world, GroupBy.MODEL) == {}


def test_the_cards_say_what_the_rows_say(world: World) -> None:
    last(world, complete(world, 8, up=3, down=1), 1.5)
    world.end("fail", world.claimed().key, error_code="refused")
    retried = world.claimed()
    world.end("retry_later", retried.key)
    world.set(retried.output_id, run_at=now() - DAY)
    world.do(lifecycle.cancel, [retried.output_id])
    found = overview(world)
    numbers = found.numbers
    assert (numbers.accepted, numbers.completed, numbers.failed, numbers.cancelled) == (10, 8, 1, 1)
    assert numbers.success_rate == pytest.approx(8 / 9)
    assert numbers.cost == 8 * Decimal("0.25")
    assert (numbers.input_tokens, numbers.output_tokens) == (100, 50)
    assert numbers.p50 == quality.Quantile(pytest.approx(1.5, abs=0.01))
    assert numbers.p95 == quality.Quantile(pytest.approx(1.95, abs=0.01))
    assert found.tries == (0, 10, 0, 0, 0, 0, 0, 0)
    assert numbers.retries_per_job == 0
    assert (found.rating.up, found.rating.votes, found.rating.outputs) == (3, 4, 10)
    assert found.rating.response_rate == pytest.approx(0.4)
    assert found.rating.sequence == confidence_sequence(3, 4)
    assert found.rating.wilson == wilson(3, 4)


def test_retries_are_tries_after_the_first(world: World) -> None:
    complete(world)
    twice = world.claimed()
    world.end("retry_later", twice.key)
    world.set(twice.output_id, run_at=now() - DAY)
    (again,) = world.claim([lifecycle.Delivery(twice.output_id, twice.job_id)])
    world.end("complete", again.key)
    world.do(lifecycle.cancel, [world.post()[0].output_id])
    found = overview(world)
    assert found.tries == (1, 1, 1, 0, 0, 0, 0, 0)
    assert found.numbers.retries_per_job == pytest.approx(1 / 3)


def test_series_have_a_point_for_each_hour_also_where_nothing_happened(world: World) -> None:
    complete(world, 2)
    complete(world, 1, model_name="claude-5")
    world.end("fail", world.claimed().key, error_code="refused")
    found = overview(world, step=Step.HOUR)
    assert len(found.points) in (25, 26)
    assert [p.at for p in found.points] == sorted({p.at for p in found.points})
    assert sum(p.numbers.completed for p in found.points) == 3
    busy = [p for p in found.points if p.numbers.ended]
    assert sum((p.cost_by_model["gpt-4"] for p in busy), Decimal(0)) == Decimal("0.5")
    assert sum(p.failures.get("refused", 0) for p in busy) == 1
    assert (found.models, found.error_codes) == (("gpt-4", "claude-5"), ("refused",))


def test_series_say_how_many_jobs_were_unfinished(world: World) -> None:
    alice = world.user()
    world.post(4, user_id=alice)
    complete(world, 2, user_id=alice)
    settle(world)
    age(world, timedelta(hours=2))
    complete(world, 1)
    world.post(3, queue="high")
    for caller, filters, expected in (
        (OPERATOR, {}, [0, 4, 7]),
        (OPERATOR, {"queue": "high"}, [0, 3]),
        (OPERATOR, {"user_id": alice}, [0, 4]),
        (member(alice), {}, [0, 4]),
    ):
        early = overview(world, caller, step=Step.HOUR, **filters)
        assert list(dict.fromkeys(p.unfinished for p in early.points)) == expected
        late = overview(world, caller, step=Step.HOUR, since=now(), **filters)
        assert late.points[-1].unfinished == expected[-1]


def test_waits_are_told_beside_latencies(world: World) -> None:
    (job,) = complete(world)
    with world.database.write() as session:
        moved = {
            "created_at": earlier(_T.c.finished_at, 9),
            "started_at": earlier(_T.c.finished_at, 5),
        }
        session.execute(update(_T).where(_T.c.id == job).values(moved))
    numbers = overview(world).numbers
    assert numbers.wait_p50 == quality.Quantile(pytest.approx(4.0, abs=0.01))
    assert numbers.p50 == quality.Quantile(pytest.approx(8.75, abs=0.01))


def test_days_add_up_their_hours(world: World) -> None:
    complete(world, 3)
    found = overview(world, step=Step.DAY, since=now() - 10 * DAY)
    assert found.since.hour == found.until.hour == 0
    assert {p.at.hour for p in found.points} == {0}
    assert len(found.points) in (11, 12)
    assert sum(p.numbers.completed for p in found.points) == 3


def test_what_lies_outside_the_time_is_not_counted(world: World) -> None:
    complete(world, 3, up=1)
    settle(world)
    age(world, 3 * DAY)
    with world.database.write() as session:
        session.execute(update(_T).values(finished_at=earlier(_T.c.finished_at, 3 * 86_400)))
    assert overview(world).numbers.ended == overview(world).rating.votes == 0
    assert overview(world, since=now() - 5 * DAY).numbers.ended == 3
    assert overview(world, since=now() - 5 * DAY).rating.votes == 1


def test_a_crowd_of_models_is_shown_as_the_dearest_and_the_rest(world: World) -> None:
    for number in range(quality.TOLD_APART + 3):
        complete(world, model_name=f"model-{number:02}")
    found = overview(world)
    assert (len(found.models), found.models[-1]) == (quality.TOLD_APART + 1, quality.OTHER)
    rest = sum((p.cost_by_model.get(quality.OTHER, Decimal(0)) for p in found.points), Decimal(0))
    assert rest == 3 * Decimal("0.25")


def test_groups_have_their_numbers_and_their_votes(world: World) -> None:
    complete(world, 5, up=4, prompt_name="greeting", prompt_version=2, queue="high")
    complete(world, 3, down=2, prompt_name="greeting", prompt_version=1)
    complete(world, 1)
    by_prompt = groups(world, GroupBy.PROMPT)
    assert list(by_prompt) == ["greeting@2", "greeting@1", quality.RAW]
    assert [g.rating.rate for g in by_prompt.values()] == [1.0, 0.0, None]
    assert by_prompt["greeting@2"].numbers.completed == 5
    assert by_prompt[quality.RAW].label == "raw template"
    by_queue = groups(world, GroupBy.QUEUE)
    assert {name: group.rating.votes for name, group in by_queue.items()} == {
        "high": 4,
        "default": 2,
    }
    assert list(groups(world, GroupBy.PROMPT, queue="high")) == ["greeting@2"]
    assert groups(world, GroupBy.MODEL, prompt="greeting@1")["gpt-4"].rating.votes == 2


def test_a_comparison_says_how_sure_it_is(world: World) -> None:
    complete(world, 60, up=54, down=6, model_name="good")
    complete(world, 60, up=12, down=48, model_name="bad")
    settle(world)
    with world.database.read() as session:
        found = quality.compare(session, OPERATOR, lately(), GroupBy.MODEL, "good", "bad")
        none = quality.compare(session, OPERATOR, lately(), GroupBy.MODEL, "good", "never")
    assert found.difference == pytest.approx(0.7)
    assert found.interval == difference(54, 60, 12, 60)
    assert found.interval.excludes_zero
    assert (none.difference, none.second.numbers.ended) == (None, 0)
    assert not none.interval.excludes_zero


def test_votes_beyond_the_limit_are_not_read_and_that_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(world, 5, up=5)
    assert not overview(world).votes_capped
    monkeypatch.setattr(ratings, "MOST_VOTES", 3)
    found = overview(world)
    assert (found.rating.votes, found.votes_capped) == (4, True)


# Who sees what


def test_a_member_sees_own_numbers_only(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    complete(world, 3, up=2, user_id=alice, model_name="hers")
    complete(world, 5, up=5, user_id=bob, model_name="his")
    complete(world, 1)
    mine = overview(world, member(alice))
    assert (mine.numbers.ended, mine.rating.votes, mine.models) == (3, 2, ("hers",))
    assert overview(world, member(alice), user_id=alice) == mine
    assert overview(world, member(alice), model="his").numbers == quality.Numbers()
    for by in GroupBy:
        names = groups(world, by, member(alice))
        assert sum(group.numbers.ended for group in names.values()) == 3
        assert not {"his", str(bob)} & set(names)
    settle(world)
    with world.database.read() as session:
        found = quality.compare(
            session, member(alice), lately(), GroupBy.USER, str(alice), str(bob)
        )
    assert (found.first.numbers.ended, found.first.label) == (3, "alice@example.org")
    assert (found.second.numbers.ended, found.second.rating.votes) == (0, 0)
    assert found.second.label == str(bob)


def test_anothers_numbers_do_not_exist_for_a_member(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    complete(world, 1, user_id=bob)
    with world.database.read() as session:
        for user_id in (bob, 10**9, 0, -1):
            with pytest.raises(NotFound):
                quality.overview(session, member(alice), lately(user_id=user_id))
            with pytest.raises(NotFound):
                quality.groups(session, member(alice), lately(user_id=user_id), GroupBy.USER)


def test_an_administrator_sees_everybody_or_one(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    complete(world, 3, up=1, user_id=alice)
    complete(world, 5, down=2, user_id=bob)
    complete(world, 1, up=1)
    ada = Caller(user_id=world.user("ada"), email="ada@example.org", role=Role.ADMIN)
    assert overview(world, ada).numbers.ended == 9
    assert overview(world, ada, user_id=bob).numbers.ended == 5
    assert overview(world, ada, user_id=bob).rating.votes == 2
    assert overview(world, ada, user_id=-1).rating.up == 1
    by_user = groups(world, GroupBy.USER, ada)
    assert {group.label: group.numbers.ended for group in by_user.values()} == {
        "bob@example.org": 5,
        "alice@example.org": 3,
        "nobody": 1,
    }
    assert by_user[str(alice)].rating.rate == 1.0


def test_a_key_that_may_not_read_jobs_reads_no_quality(world: World) -> None:
    limited = Caller(user_id=1, email="a@example.org", scopes=frozenset({"chat:read"}))
    with world.database.read() as session, pytest.raises(Forbidden):
        quality.overview(session, limited, lately())


@pytest.mark.parametrize(
    "wrong",
    [
        {"until": datetime(2026, 1, 1, tzinfo=UTC), "since": datetime(2026, 1, 2, tzinfo=UTC)},
        {"since": now() - 40 * DAY, "step": Step.HOUR},
        {"since": now() - 500 * DAY},
    ],
)
def test_a_time_that_cannot_be_shown_is_refused(world: World, wrong: dict[str, Any]) -> None:
    with world.database.read() as session, pytest.raises(InvalidParameter, match="Invalid time"):
        quality.overview(session, OPERATOR, lately(**wrong))
