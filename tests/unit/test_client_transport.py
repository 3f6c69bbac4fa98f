"""Repeating a request: when it is safe and may help, as often as patience lasts, and no more."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llm_jobs.client import Client, Event, read_events
from llm_jobs.errors import ApiError, Unreachable
from llm_jobs.transport import Transport, retry_after_seconds

Reply = tuple[int, dict[str, str], Any]
ACCEPTED: Reply = (201, {}, {"job_id": "j", "output_id": 1, "status": "queued"})


class Scripted:
    """A server that gives the replies of a list, the last one for ever, and keeps what it saw."""

    def __init__(self) -> None:
        self.replies: list[Reply | None] = []
        self.seen: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                outer.seen.append(
                    {
                        "method": self.command,
                        "path": self.path,
                        "headers": dict(self.headers),
                        "body": self.rfile.read(length),
                    }
                )
                reply = outer.replies.pop(0) if len(outer.replies) > 1 else outer.replies[0]
                if reply is None:  # the connection is lost before an answer
                    self.close_connection = True
                    return
                status, headers, body = reply
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    thread = threading.Thread(target=scripted.server.serve_forever, daemon=True)
    thread.start()
    yield scripted
    scripted.server.shutdown()
    scripted.server.server_close()
    thread.join(5)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def connect(server: Scripted, slept: list[float]) -> Iterator[Callable[..., Transport]]:
    made: list[Transport] = []

    def new(patience_seconds: float = 60, url: str = "") -> Transport:
        transport = Transport(
            url or server.url,
            "key",
            timeout_seconds=5,
            patience_seconds=patience_seconds,
            sleep=slept.append,
        )
        made.append(transport)
        return transport

    yield new
    for transport in made:
        transport.close()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_refusal_that_may_pass_is_asked_again_after_the_time_it_names(
    server: Scripted, connect: Callable[..., Transport], slept: list[float], status: int
) -> None:
    server.replies = [(status, {"Retry-After": "3"}, {}), (200, {}, {"ok": 1})]
    assert connect().send("GET", "/x")[0] == {"ok": 1}
    assert len(server.seen) == 2
    assert slept == [3.0]


def test_a_lost_connection_is_asked_again(
    server: Scripted, connect: Callable[..., Transport], slept: list[float]
) -> None:
    server.replies = [None, None, ACCEPTED]
    assert connect().send("POST", "/x", json={"a": 1})[0]["job_id"] == "j"
    assert [json.loads(request["body"]) for request in server.seen] == [{"a": 1}] * 3
    assert len(slept) == 2
    assert 0 < slept[0] <= 0.25 < slept[1] * 2 <= 1.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_refusal_that_will_not_pass_is_final(
    server: Scripted, connect: Callable[..., Transport], slept: list[float], status: int
) -> None:
    server.replies = [(status, {}, {"detail": "No.", "code": "c", "request_id": "r"})]
    with pytest.raises(ApiError, match=r"^No\.$") as refusal:
        connect().send("GET", "/x")
    assert (refusal.value.status, refusal.value.code, refusal.value.request_id) == (
        status,
        "c",
        "r",
    )
    assert (len(server.seen), slept) == (1, [])


def test_patience_ends(
    server: Scripted, connect: Callable[..., Transport], slept: list[float]
) -> None:
    server.replies = [(429, {"Retry-After": "3600"}, {"error": "Slow down"})]
    with pytest.raises(ApiError, match="Slow down"):
        connect(patience_seconds=10).send("GET", "/x")
    assert (len(server.seen), slept) == (1, [])


def test_nobody_there_is_unreachable(connect: Callable[..., Transport]) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        connect(patience_seconds=0, url="http://127.0.0.1:9").send("GET", "/x")


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe"])
def test_an_answer_that_is_not_json_is_an_error(
    server: Scripted, connect: Callable[..., Transport], body: bytes
) -> None:
    server.replies = [(200, {}, body)]
    with pytest.raises(ApiError, match="not JSON"):
        connect().send("GET", "/x")
    server.replies = [(404, {}, body)]
    with pytest.raises(ApiError, match="HTTP 404"):
        connect().send("GET", "/x")


def test_a_redirect_is_not_followed_with_the_key(
    server: Scripted, connect: Callable[..., Transport]
) -> None:
    server.replies = [(302, {"Location": "http://127.0.0.1:9/elsewhere"}, {})]
    with pytest.raises(ApiError, match="HTTP 302"):
        connect().send("GET", "/x")
    assert len(server.seen) == 1


def test_a_repeated_submit_carries_one_key(server: Scripted) -> None:
    server.replies = [(503, {"Retry-After": "0"}, {}), ACCEPTED]
    with Client(server.url, "secret") as client:
        client.jobs.create(template="x", model="m")
        server.replies = [ACCEPTED]
        client.jobs.create(template="x", model="m")
    keys = [request["headers"]["Idempotency-Key"] for request in server.seen]
    assert keys[0] == keys[1] != keys[2]
    assert {r["headers"]["Authorization"] for r in server.seen} == {"Bearer secret"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("nan", None),
    ],
)
def test_retry_after_is_read(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    found = retry_after_seconds(format_datetime(datetime.now(UTC) + timedelta(seconds=60), True))
    assert found is not None
    assert 57 < found <= 60


@pytest.mark.parametrize("status", [429, 503])
def test_a_stream_that_is_one_too_many_is_asked_for_again(
    server: Scripted, connect: Callable[..., Transport], slept: list[float], status: int
) -> None:
    server.replies = [(status, {"Retry-After": "5"}, {}), (200, {}, b"data: 1\n\n")]
    with connect().lines("/x", headers={}) as lines:
        assert list(lines) == ["data: 1", ""]
    assert slept == [5.0]


@pytest.mark.parametrize(("status", "patience"), [(404, 60), (429, 1)])
def test_a_stream_that_is_refused_for_good_or_too_long_is_an_error(
    server: Scripted,
    connect: Callable[..., Transport],
    slept: list[float],
    status: int,
    patience: float,
) -> None:
    server.replies = [(status, {"Retry-After": "5"}, {"detail": "No."})]
    with pytest.raises(ApiError, match="No"), connect(patience).lines("/x", headers={}):
        pass
    assert slept == []


def test_events_are_read_from_their_lines() -> None:
    lines = [
        ": keepalive",
        "",
        "id: 1-0",
        "event: delta",
        'data: {"text": "a: b"}',
        "",
        "id: end",
        "event: final",
        "data: {",
        "data: }",
        "",
        "event: unfinished",
        'data: {"a"',
    ]
    assert list(read_events(iter(lines))) == [
        Event("1-0", "delta", {"text": "a: b"}),
        Event("end", "final", {}),
    ]


@pytest.mark.parametrize("module", ["llm_jobs", "llm_jobs.pytest_plugin"])
def test_importing_the_package_imports_nothing_of_the_platform(module: str) -> None:
    script = (
        f"import {module}, sys;"
        "heavy = {'app', 'models', 'api', 'workers', 'sqlalchemy', 'celery', 'httpx2', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
