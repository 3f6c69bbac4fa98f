"""Queues as a page: what it says, what its forms do, and the banner on every page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from importlib import import_module

import pytest
from sqlalchemy import func, select, update

from api.web import notices
from app import lifecycle
from app.db import Database
from app.errors import Unavailable
from app.recent import Recent
from models import AuditEvent, ControlKind, LLMOutput, QueueControl, WorkerHeartbeat
from models.types import now_plus
from tests.api.house import House
from tests.api.visiting import Visitor, signed_in

BUCKET = "openai:gpt-4:0123abcd"


@pytest.fixture(autouse=True)
def always_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The banner knows no older moment."""
    module = import_module("app.operations.health")
    monkeypatch.setattr(module, "_notices", Recent(-1))


@pytest.fixture
def ada(house: House) -> Visitor:
    return signed_in(house, house.ada)


@pytest.fixture
def alice(house: House) -> Visitor:
    return signed_in(house, house.alice)


def pauses(house: House) -> list[tuple[str, str, str]]:
    with house.database.read() as session:
        found = session.scalars(select(QueueControl).order_by(QueueControl.name)).all()
        return [(one.kind, one.name, one.reason) for one in found]


def trail(house: House) -> list[tuple[str, str]]:
    query = select(AuditEvent).where(AuditEvent.action.like("operations.%"))
    with house.database.read() as session:
        return [(one.action, one.subject) for one in session.scalars(query.order_by(AuditEvent.id))]


def failed_jobs(house: House, number: int, code: str = "x") -> list[int]:
    """Jobs of alice's that ended so."""
    ids = []
    for _ in range(number):
        job = house.submit(model="simulator/echo")
        house.fail(job)
        ids.append(job["output_id"])
    with house.database.write() as session:
        rows = update(LLMOutput).where(LLMOutput.id.in_(ids))
        session.execute(rows.values(error_code=code))
    return ids


def children(house: House) -> int:
    query = select(func.count()).where(LLMOutput.parent_id.is_not(None))
    with house.database.read() as session:
        return session.scalar(query) or 0


def report(house: House, *, age_seconds: float = 0) -> None:
    """A worker's heartbeat, so old."""
    with house.database.write() as session:
        session.add(
            WorkerHeartbeat(
                name="w1@here",
                host="here",
                pid=7,
                concurrency=10,
                seen_at=now_plus(-age_seconds),
                ticked_at=now_plus(-age_seconds),
                tick_seconds=0.01,
            )
        )


def words(text: str) -> str:
    """A page's text without its tags, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_board_says_what_the_rows_say(house: House, ada: Visitor) -> None:
    report(house)
    running = house.submit(model="simulator/echo")
    house.claim(running)
    house.submit(model="simulator/echo", queue="low")
    text = ada.get("/queues").text
    low = words(text.split('id="queue-low"')[1].split("</section>")[0])
    assert "Ready 1 Later 0 Running 0" in low
    assert "The oldest has waited" in low
    assert "Running 1" in words(text.split('id="queue-default"')[1].split("</section>")[0])
    assert "w1@here here · pid 7 alive" in words(text)


def test_the_page_asks_for_its_board_alone(house: House, ada: Visitor) -> None:
    part = ada.get("/queues", headers={"HX-Request": "true"}).text
    assert part.count('id="board"') == 1
    assert part.lstrip().startswith('<div id="board"')
    assert "<html" not in part


def test_a_queue_is_paused_for_a_time_and_for_a_reason(house: House, ada: Visitor) -> None:
    data = {"kind": "queue", "name": "low", "seconds": "3600", "reason": "<b>moving</b>"}
    assert ada.post("/queues/pause", data=data).status_code == 303
    assert pauses(house) == [("queue", "low", "<b>moving</b>")]
    shown = ada.get("/queues").text
    assert "Reason: &lt;b&gt;moving&lt;/b&gt;." in shown
    assert ada.post("/queues/resume", data={"kind": "queue", "name": "low"}).status_code == 303
    assert pauses(house) == []
    assert trail(house) == [
        ("operations.paused", "queue:low"),
        ("operations.resumed", "queue:low"),
    ]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"name": "fast"}, 404),
        ({"kind": "bucket", "name": BUCKET}, 404),
        ({"kind": "everything"}, 404),
        ({"seconds": "1e9"}, 400),
        ({"reason": "x" * 501}, 400),
        ({"kind": "model", "name": ""}, 400),
        ({"kind": "model", "name": "m" * 256}, 404),
    ],
)
def test_what_cannot_be_paused_is_not(
    changed: dict[str, str], status: int, house: House, ada: Visitor
) -> None:
    data = {"kind": "queue", "name": "low", "seconds": "", "reason": "", **changed}
    assert ada.post("/queues/pause", data=data).status_code == status
    assert pauses(house) == []
    assert trail(house) == []


def test_a_providers_own_pause_is_shown_without_its_key_and_lifted(
    house: House, ada: Visitor
) -> None:
    with house.database.write() as session:
        lifecycle.pause(session, ControlKind.BUCKET, BUCKET, seconds=600, reason="429")
    shown = ada.get("/queues").text
    assert "openai:gpt-4" in shown
    assert "0123abcd" not in shown
    answer = ada.post("/queues/resume", data={"kind": "bucket", "name": "openai:gpt-4"})
    assert answer.status_code == 303
    assert pauses(house) == []
    assert trail(house) == [("operations.resumed", "bucket:openai:gpt-4")]


def test_resuming_what_is_not_paused_leaves_no_trace(house: House, ada: Visitor) -> None:
    assert ada.post("/queues/resume", data={"kind": "queue", "name": "high"}).status_code == 303
    assert ada.post("/queues/resume", data={"kind": "user", "name": "1"}).status_code == 404
    assert trail(house) == []


def test_the_question_states_how_many_would_run_again(house: House, ada: Visitor) -> None:
    ids = failed_jobs(house, 3, "provider_denied")
    failed_jobs(house, 1, "timeout")
    assert "Run 3 jobs again?" in words(ada.get("/queues/failed/provider_denied").text)
    with house.database.write() as session:
        session.execute(
            update(LLMOutput).where(LLMOutput.id == ids[0]).values(created_at=now_plus(-90_000))
        )
    assert "Run 2 jobs again?" in words(ada.get("/queues/failed/provider_denied").text)
    assert ada.post("/queues/failed/provider_denied").status_code == 303
    assert children(house) == 2
    assert "Nothing to run again" in words(ada.get("/queues/failed/provider_denied").text)
    ada.post("/queues/failed/provider_denied")
    assert children(house) == 2
    acts = select(func.count()).where(AuditEvent.action == "outputs.re_run")
    with house.database.read() as session:
        assert session.scalar(acts) == 1


@pytest.mark.parametrize("code", ["none", "%3Cscript%3E", "a%00b", "x" * 300])
def test_an_error_nobody_had_has_nothing_to_run_again(
    code: str, house: House, ada: Visitor
) -> None:
    assert ada.get(f"/queues/failed/{code}").status_code in (200, 400)
    assert ada.post(f"/queues/failed/{code}").status_code in (303, 400)
    assert children(house) == 0


def test_administrators_read_what_is_wrong_and_members_what_it_means(
    house: House, ada: Visitor, alice: Visitor
) -> None:
    report(house, age_seconds=3600)
    assert "No worker has reported for 60 min" in words(ada.get("/account").text)
    member = words(alice.get("/account").text)
    assert "Jobs are not being worked on just now" in member
    assert "worker" not in member.lower()


def test_all_well_shows_no_banner(house: House, ada: Visitor, alice: Visitor) -> None:
    report(house)
    for one in (ada, alice):
        assert "data-notice" not in one.get("/account").text


def test_several_pauses_are_one_notice_for_a_member(house: House, alice: Visitor) -> None:
    report(house)
    with house.database.write() as session:
        for queue in ("high", "low"):
            lifecycle.pause(session, ControlKind.QUEUE, queue, reason="secret reason")
    text = alice.get("/account").text
    assert text.count('data-notice="queue_paused"') == 1
    assert "secret reason" not in text


def test_nobody_who_is_not_signed_in_learns_how_the_platform_is(house: House) -> None:
    client = house.app.test_client()
    assert "data-notice" not in client.get("/sign-in").text
    assert client.get("/platform-health").status_code == 303


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("unforeseen")])
def test_no_page_fails_because_its_banner_cannot_be_made(
    error: Exception, house: House, ada: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(runtime: object) -> None:
        raise error

    monkeypatch.setattr(notices, "health", away)
    answer = ada.get("/account")
    assert answer.status_code == 200
    assert "data-notice" not in answer.text


def test_a_database_that_is_away_is_a_page_that_says_so(
    house: House, ada: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def away(self: Database) -> Iterator[None]:
        raise Unavailable("The database is not available")
        yield

    monkeypatch.setattr(Database, "read", away)
    monkeypatch.setattr(Database, "write", away)
    for path in ("/queues", "/admin", "/account"):
        answer = ada.get(path)
        assert answer.status_code == 503
        assert "The database is not available" in answer.text
