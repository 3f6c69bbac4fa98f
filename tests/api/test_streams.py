"""Event streams: what is sent, in strict bytes, how one goes on, and how many there may be."""

from __future__ import annotations

import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from api import sse
from api.holding import Held
from tests.api.house import JOBS, House, Person, open_house
from tests.api.server import Server, serve
from tests.support.waiting import eventually

ECHO = {"model": "simulator/echo"}
EVENT = re.compile(rb"id: ([^\n]*)\nevent: ([a-z]+)\ndata: ([^\n]*)\n\n")
COMMENT = b": keepalive\n\n"


@dataclass
class Event:
    id: str
    name: str
    data: dict[str, Any]


def strictly(raw: bytes) -> list[Event]:
    """The events of a stream; fails on any byte that is not as it should be."""
    assert b"\r" not in raw
    rest, events = raw, []
    while rest:
        if rest.startswith(COMMENT):
            rest = rest[len(COMMENT) :]
            continue
        match = EVENT.match(rest)
        assert match, rest[:200]
        events.append(Event(match[1].decode(), match[2].decode(), json.loads(match[3])))
        rest = rest[match.end() :]
    return events


@pytest.fixture(scope="module")
def server(shared: House) -> Iterator[Server]:
    with serve(shared) as server:
        yield server


@contextmanager
def stream(
    server: Server, job: dict[str, Any], *, as_: Person | None = None, last: str = ""
) -> Iterator[http.client.HTTPResponse]:
    """An open stream."""
    headers = {**(as_ or server.house.alice).headers, **({"Last-Event-ID": last} if last else {})}
    with closing(server.connect()) as connection:
        connection.request("GET", f"{JOBS}/{job['job_id']}/events", headers=headers)
        yield connection.getresponse()


def read_until(response: http.client.HTTPResponse, name: str) -> bytes:
    """Everything up to the first event of that name."""
    raw = b""
    while not re.search(rb"event: " + name.encode() + rb"\ndata: [^\n]*\n\n\Z", raw):
        line = response.readline()
        assert line, raw
        raw += line
    return raw


def write(server: Server, job: dict[str, Any], *texts: str) -> None:
    """Text as a worker tells it."""
    offset = 0
    for text in texts:
        data = {"attempt": 1, "offset": offset, "text": text}
        server.house.runtime.events.tell(job["job_id"], "delta", data)
        offset += len(text)


def test_a_stream_shows_the_row_its_changes_the_text_and_the_end(server: Server) -> None:
    job = server.house.submit(**ECHO)
    odd = "two\nlines\r\nand \u2028 more: {} é😀"
    with stream(server, job) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-store"
        raw = read_until(response, "snapshot")
        claim = server.house.claim(job)
        write(server, job, "It ", odd)
        raw += read_until(response, "delta") + read_until(response, "delta")
        finish(server, claim, "It " + odd)
        raw += response.read()
    events = strictly(raw)
    assert [e.name for e in events] == ["snapshot", "status", "delta", "delta", "final"]
    assert all(event.id for event in events)
    snapshot, status, *deltas, final = events
    assert (snapshot.data["status"], status.data["status"]) == ("pending", "processing")
    assert "".join(delta.data["text"] for delta in deltas) == "It " + odd
    assert (final.data["status"], final.data["raw_response"]) == ("completed", "It " + odd)
    assert final.id == sse.END


def finish(server: Server, claim: Any, text: str) -> None:
    """End a claimed row as its worker does, telling everybody."""
    from app import lifecycle
    from app.lifecycle import Completed

    end = Completed(output_id=claim.output_id, fence=claim.fence, raw_response=text)
    with server.house.database.write() as session:
        ended = lifecycle.complete(session, [end])
    server.house.runtime.events.announce(list(ended.values()))


def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(server: Server) -> None:
    job = server.house.submit(**ECHO)
    claim = server.house.claim(job)
    with stream(server, job) as response:
        read_until(response, "snapshot")
        write(server, job, "a", "b", "c")
        seen = strictly(read_until(response, "delta") + read_until(response, "delta"))
    with stream(server, job, last=seen[-1].id) as response:
        raw = read_until(response, "snapshot") + read_until(response, "delta")
        finish(server, claim, "abc")
        raw += response.read()
    again = strictly(raw)
    assert again[0].id == seen[-1].id
    texts = [e.data["text"] for e in [*seen, *again] if e.name == "delta"]
    assert texts == ["a", "b", "c"]
    assert again[-1].name == "final"


def test_an_ended_job_is_snapshot_and_end_and_then_no_more(server: Server) -> None:
    job = server.house.ended(**ECHO)
    with stream(server, job) as response:
        assert [e.name for e in strictly(response.read())] == ["snapshot", "final"]
    with stream(server, job, last=sse.END) as response:
        assert (response.status, response.read()) == (204, b"")


@pytest.mark.parametrize("last", ["garbage", "1", "9" * 40, "1-1; drop", "-"])
def test_an_odd_last_event_id_starts_from_the_beginning(server: Server, last: str) -> None:
    job = server.house.ended(**ECHO)
    with stream(server, job, last=last) as response:
        assert [e.id for e in strictly(response.read())] == ["0-0", sse.END]


def test_a_cancelled_job_ends_its_stream(server: Server) -> None:
    job = server.house.submit(**ECHO)
    with stream(server, job) as response:
        raw = read_until(response, "snapshot")
        path = f"{JOBS}/{job['job_id']}/cancel"
        assert server.request("POST", path, as_=server.house.alice).status == 200
        events = strictly(raw + response.read())
    assert (events[-1].name, events[-1].data["status"]) == ("final", "cancelled")


def test_three_streams_of_one_user_and_no_more_until_one_ends(server: Server) -> None:
    jobs = [server.house.submit(server.house.bob, **ECHO) for _ in range(4)]
    bob = server.house.bob
    with stream(server, jobs[0], as_=bob) as one, stream(server, jobs[1], as_=bob) as two:
        with stream(server, jobs[2], as_=bob) as three:
            for response in (one, two, three):
                read_until(response, "snapshot")
            with stream(server, jobs[3], as_=bob) as refused:
                assert refused.status == 429
                assert refused.headers["Retry-After"]
                assert refused.headers["Content-Type"] == "application/problem+json"
            with stream(server, server.house.submit(**ECHO)) as somebody_elses:
                assert somebody_elses.status == 200
        server.house.complete(jobs[2])  # its reader is gone: the next bytes tell

        def again() -> bool:
            with stream(server, jobs[3], as_=bob) as response:
                return response.status == 200

        eventually(again)


def test_streams_do_not_keep_others_from_being_served(server: Server) -> None:
    people = [server.house.alice, server.house.bob, server.house.charlie, server.house.ada]
    jobs = [(p, server.house.submit(p, **ECHO)) for p in people for _ in range(3)]
    connections = [server.connect() for _ in jobs]
    for connection, (person, job) in zip(connections, jobs, strict=True):
        path = f"{JOBS}/{job['job_id']}/events"
        connection.request("GET", path, headers=person.headers)
    statuses = [connection.getresponse().status for connection in connections]
    assert set(statuses) == {200, 429}, "16 threads: some streams, never all threads"
    assert server.request("GET", "/api/v1/me", as_=people[0]).status == 200
    for connection in connections:
        connection.close()
    for _, job in jobs:
        server.house.complete(job)


def test_a_quiet_stream_is_kept_alive_by_comments(
    shared: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEPALIVE_SECONDS", 0.05)
    monkeypatch.setattr(sse, "TICK_SECONDS", 0.05)
    job = shared.submit(shared.charlie, **ECHO)
    path = f"{JOBS}/{job['job_id']}/events"
    response = shared.call("GET", path, as_=shared.charlie, buffered=False, check=False)
    chunks = iter(response.response)
    assert next(chunks).startswith(b"id: 0-0\nevent: snapshot\n")  # type: ignore[union-attr]
    assert [next(chunks), next(chunks)] == [COMMENT, COMMENT]
    response.close()
    held: Held = shared.app.extensions["llm_jobs_held"]
    eventually(lambda: held.streams.held == 0)


def test_held_requests_end_soon_when_the_server_is_told_to_stop(shared: House) -> None:
    job = shared.submit(**ECHO)
    with serve(shared) as server, stream(server, job) as response:
        raw = read_until(response, "snapshot")
        with closing(server.connect()) as waiting:
            path = f"{JOBS}/{job['job_id']}?wait=60"
            waiting.request("GET", path, headers=shared.alice.headers)
            started = time.monotonic()
            server.process.signal(signal.SIGTERM)
            raw += response.read()
            assert waiting.getresponse().status == 200
        server.process.wait()
        assert time.monotonic() - started < 20  # the wait was for 60
    assert [event.name for event in strictly(raw)] == ["snapshot"]


def test_head_takes_no_place(shared: House) -> None:
    job = shared.submit(shared.charlie, **ECHO)
    path = f"{JOBS}/{job['job_id']}/events"
    for _ in range(5):
        assert shared.call("HEAD", path, as_=shared.charlie).status_code == 200


def test_without_redis_a_stream_still_ends_with_the_row(sqlite_url: str) -> None:
    with open_house(sqlite_url, "redis://127.0.0.1:1/0") as house:
        job = house.submit(**ECHO)
        path = f"{JOBS}/{job['job_id']}/events"
        response = house.call("GET", path, as_=house.alice, buffered=False, check=False)
        chunks = iter(response.response)
        assert b"event: snapshot" in next(chunks)  # type: ignore[operator]
        threading.Thread(target=house.complete, args=(job,)).start()
        events = strictly(b"".join(chunks))  # type: ignore[arg-type]
        response.close()
    assert (events[-1].name, events[-1].data["status"]) == ("final", "completed")


def test_bytes_are_exact() -> None:
    assert sse.encode("delta", {"text": "a\nb"}, id="1-2") == (
        b'id: 1-2\nevent: delta\ndata: {"text":"a\\nb"}\n\n'
    )


def test_an_events_data_is_one_line_whatever_counts_as_a_line_end() -> None:
    ends = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
    raw = sse.encode("delta", {"text": ends}, id="1-2")
    assert len(raw.decode().splitlines()) == 4
    assert strictly(raw)[0].data == {"text": ends}
