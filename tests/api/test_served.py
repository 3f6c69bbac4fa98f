"""The API behind a real gunicorn: bodies as they come over a socket, and parts that are away."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, func, select

from app.dev.ports import LOOPBACK
from models import LLMOutput
from tests.api.house import JOBS, SEED, House, open_house
from tests.api.server import Server, serve
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import running_redis

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def server(shared: House) -> Iterator[Server]:
    with serve(shared) as server:
        yield server


def raw(server: Server, sent: bytes) -> bytes:
    """Send bytes as they are; everything that comes back until the server closes."""
    with socket.create_connection((LOOPBACK, server.port), timeout=20) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def head(server: Server, *lines: str) -> bytes:
    key = server.house.alice.key
    first = (
        f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
    )
    return (first + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("content_type", "status"), [("application/json", 413), ("text/plain", 415)]
)
def test_a_client_that_sends_all_before_it_listens_still_learns_why_it_was_refused(
    server: Server, content_type: str, status: int
) -> None:
    connection = server.connect()
    headers = {"Content-Type": content_type, **server.house.alice.headers}
    connection.request("POST", JOBS, b"{" + b" " * 20_000_000, headers)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (status, PROBLEM)
    answer.read()
    connection.request("GET", "/api/v1/me", headers=server.house.alice.headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_curl_gets_the_seeds_answer(server: Server) -> None:
    body = json.dumps(SEED, indent=2)
    done = subprocess.run(
        ["curl", "-sS", "-i", "-X", "POST", f"http://{LOOPBACK}:{server.port}{JOBS}",
         "-H", "Content-Type: application/json",
         "-H", f"Authorization: Bearer {server.house.alice.key}", "-d", body],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    headers, _, answer = done.stdout.replace("\r\n", "\n").partition("\n\n")
    assert headers.startswith("HTTP/1.1 201")
    assert list(json.loads(answer))[:4] == ["job_id", "output_id", "status", "estimated_completion"]


def test_a_chunked_body_without_a_length_is_read(server: Server) -> None:
    body = json.dumps(SEED).encode()
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    answer = raw(server, head(server, *lines) + chunked(body[:10], body[10:]))
    assert answer.startswith(b"HTTP/1.1 201"), answer


def test_a_chunked_body_without_an_end_is_cut_at_the_limit(server: Server) -> None:
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    endless = chunked(*[b" " * 65536] * 300)  # jobs may bring 16 MB of files
    answer = raw(server, head(server, *lines) + endless)
    assert answer.startswith(b"HTTP/1.1 413"), answer[:300]
    assert PROBLEM.encode() in answer


@pytest.mark.parametrize(
    "body", [b"zz\r\n{}\r\n0\r\n\r\n", b"5\r\n{}\r\n", b"-1\r\n{}\r\n0\r\n\r\n"]
)
def test_chunks_that_are_none_are_400_at_most(server: Server, body: bytes) -> None:
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    with socket.create_connection((LOOPBACK, server.port), timeout=20) as connection:
        connection.sendall(head(server, *lines) + body)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert answer == b"" or answer.split()[1] == b"400", answer
    assert server.request("GET", "/healthz").status == 200


def test_a_body_that_is_shorter_than_said_leaves_no_row(server: Server) -> None:
    lines = ("Content-Type: application/json", "Content-Length: 5000")
    with socket.create_connection((LOOPBACK, server.port), timeout=20) as connection:
        connection.sendall(head(server, *lines) + b'{"template": "x", "model": "gpt-4"}')
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert answer == b"" or answer.split()[1] == b"400", answer


def test_five_megabytes_are_413_that_the_client_can_read(server: Server, tmp_path: Path) -> None:
    big = tmp_path / "big.json"
    big.write_bytes(b'{"template": "' + b"x" * 5_000_000 + b'"}')
    for expect in ("Expect: 100-continue", "Expect:"):
        done = subprocess.run(
            ["curl", "-sS", "-o", "-", "-w", "\n%{http_code} %{content_type}",
             f"http://{LOOPBACK}:{server.port}{JOBS}", "-H", "Content-Type: application/json",
             "-H", expect, "-H", f"Authorization: Bearer {server.house.alice.key}",
             "--data-binary", f"@{big}"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout.endswith(f"\n413 {PROBLEM}"), done


def test_a_connection_goes_on_after_a_refusal(server: Server) -> None:
    connection = server.connect()
    headers = {**server.house.alice.headers, "Content-Type": "application/json"}
    for body, status in ((b"x", 400), (json.dumps(SEED).encode(), 201), (b"[" * 900_000, 400)):
        connection.request("POST", JOBS, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_wait_and_preview_and_health_work_over_a_socket(server: Server) -> None:
    alice = server.house.alice
    job = server.request("POST", f"{JOBS}?wait=0.2", as_=alice, body=SEED)
    assert (job.status, job.json["output"]["status"]) == (201, "pending")
    assert server.request("GET", "/healthz").json == {"status": "ok"}
    assert server.request("GET", "/readyz").status == 503  # no worker here


def test_each_request_is_one_line_without_its_body_or_key(server: Server) -> None:
    canary = "canary-7f3a"
    body = {**SEED, "template": f"{{{{x}}}} {canary}", "context": {"x": canary}, "foo": canary}
    answer = server.request(
        "POST", JOBS + "?wait=1", as_=server.house.alice, body=body, X_Request_Id="line-1"
    )
    assert answer.status == 400
    found = server.process.wait_for(r".*line-1.*\n")[0]
    lines = [line for line in server.process.output.splitlines() if "line-1" in line]
    assert len(lines) == 1, lines
    for fact in ("POST", JOBS, "400", "duration_ms", "user_id"):
        assert fact in found
    secret = server.house.alice.key[20:]
    assert canary not in server.process.output
    assert secret not in server.process.output


def test_no_vendors_sdk_is_loaded_in_the_web(sqlite_url: str) -> None:
    program = (
        "import sys, api.wsgi\n"
        "client = api.wsgi.app.test_client()\n"
        "assert client.get('/openapi.json').status_code == 200\n"
        "assert client.get('/healthz').status_code == 200\n"
        "assert client.post('/api/v1/llm_jobs', json={}).status_code == 401\n"
        "loaded = {'openai', 'anthropic', 'aiohttp', 'genai_prices', 'flower'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)\n"
    )
    env = {"DATABASE_URL": sqlite_url, "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_submitting_loads_no_vendors_sdk_either(server: Server) -> None:
    maps = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    worker = maps.split()[0]
    assert server.request("POST", JOBS, as_=server.house.alice, body=SEED).status == 201
    assert "aiohttp" not in Path(f"/proc/{worker}/maps").read_text()


def test_a_stopped_redis_slows_no_request_and_fails_none(sqlite_url: str, tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as (redis, process),
        open_house(sqlite_url, redis.url, LLM_JOBS_RATE_LIMIT="100000/minute") as house,
        serve(house) as server,
    ):
        assert server.request("POST", JOBS, as_=house.alice, body=SEED).status == 201
        process.signal(signal.SIGSTOP)
        try:
            deadline, taken = time.monotonic() + 3, []
            while time.monotonic() < deadline:  # longer than the broker is left alone
                taken.append(timed_post(server))
            started = time.monotonic()
            assert server.request("GET", "/api/v1/me", as_=house.alice).status == 200
            assert time.monotonic() - started < 3
        finally:
            process.signal(signal.SIGCONT)
        assert max(taken) < 3, taken
        with house.database.read() as session:
            assert session.scalar(select(func.count()).select_from(LLMOutput)) == 1 + len(taken)


def timed_post(server: Server) -> float:
    started = time.monotonic()
    answer = server.request("POST", JOBS, as_=server.house.alice, body=SEED)
    assert answer.status == 201, answer.body
    return time.monotonic() - started


@pytest.mark.fault("F8", "the database goes away and comes back; web is asked")
def test_a_database_that_goes_away_and_comes_back_is_503_and_then_201(
    postgres_server: PostgresServer, postgres_template: str, redis_url: str
) -> None:
    with postgres_server.database(template=postgres_template) as name:
        url = postgres_server.url(name)
        with open_house(url, redis_url) as house, serve(house) as server:
            assert server.request("POST", JOBS, as_=house.alice, body=SEED).status == 201
            house.database.dispose()
            forbid(postgres_server, name)
            for _ in range(3):
                answer = server.request("POST", JOBS, as_=house.alice, body=SEED)
                assert (answer.status, answer.headers["Content-Type"]) == (503, PROBLEM)
                assert answer.json["error"] == "Failed to queue job"
                assert int(answer.headers["Retry-After"]) > 0
            ready = server.request("GET", "/readyz").json["checks"]
            assert ready["database"]["ok"] is False
            allow(postgres_server, name)
            assert server.request("POST", JOBS, as_=house.alice, body=SEED).status == 201


def forbid(server: PostgresServer, name: str) -> None:
    """Cut every connection to a database and take no new one."""
    server._execute("ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(query, [name])


def allow(server: PostgresServer, name: str) -> None:
    server._execute("ALTER DATABASE {} ALLOW_CONNECTIONS true", name)


@pytest.mark.fault("F9", "the disk is full when jobs are accepted")
def test_a_full_disk_refuses_with_503_and_every_201_has_its_row(
    sqlite_url: str, redis_url: str
) -> None:
    with open_house(sqlite_url, redis_url) as house:
        limit = {"pages": 0}

        def cap(connection: object, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {limit['pages'] or 2**30}")  # type: ignore[attr-defined]

        with house.database.engine.connect() as connection:
            used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        limit["pages"] = used + 30
        event.listen(house.database.engine, "checkout", lambda c, r, _: cap(c, r))
        body = {**SEED, "context": {"concept": "x" * 20_000}}
        statuses = [house.post(JOBS, as_=house.alice, json=body).status_code for _ in range(20)]
        accepted = statuses.count(201)
        assert 0 < accepted < 20
        assert set(statuses) == {201, 503}
        refused = house.post(JOBS, as_=house.alice, json=body)
        assert refused.get_json()["error"] == "Failed to queue job"
        limit["pages"] = 0
        assert house.post(JOBS, as_=house.alice, json=body).status_code == 201
        with house.database.read() as session:
            assert session.scalar(select(func.count()).select_from(LLMOutput)) == accepted + 1
