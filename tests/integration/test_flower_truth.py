"""Flower beside every row: one that contradicts its row is a failure.

The Procfile's Flower (read-only, behind a password, on loopback, with a memory; only its memory is
written more often) beside two real workers and a web server. Jobs meet every end there is, then
what Flower says of each is compared with its row.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest
from sqlalchemy import func, select

from app import jobs
from app.dev.ports import LOOPBACK, free_port
from app.dev.procfile import shipped_procfile
from app.jobs import Submission
from app.lifecycle import Ended, control
from app.queue import TASK_NAME
from models import ControlKind, LLMOutput, Status
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Part, Platform, _shell, running_platform
from tests.support.processes import children_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)

_CANARY = "canary-7c1e55"
_USER, _PASSWORD = "operator", "flower-canary-pass:word"
_PUBLIC_URL = "https://jobs.example.org/llm"
_FORGED = 'x"><script>alert(1)</script>'
_SAVE_MILLISECONDS = 400
_PATIENCE_SECONDS = 60
_TRUE: Mapping[str, set[str | None]] = {
    Status.PENDING: {None, "RECEIVED", "RETRY"},  # None: no message of it was sent yet
    Status.PROCESSING: {"STARTED"},
    Status.COMPLETED: {"SUCCESS"},
    Status.FAILED: {"FAILURE"},
    Status.CANCELLED: {"REVOKED"},
}


@dataclass
class Wire:
    """All that goes over the platform's Redis, as its MONITOR shows it."""

    seen: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        return b"".join(self.seen).decode(errors="replace")


@dataclass
class Story:
    """The platform after every kind of end."""

    platform: Platform
    wire: Wire
    before: int
    """The newest row from before Flower was there to hear of it."""
    jobs: dict[str, Submission] = field(default_factory=dict)

    def page(self, path: str, *, auth: bool = True) -> Any:
        """An answer of Flower."""
        credentials = (_USER, _PASSWORD) if auth else None
        return httpx2.get(f"{self.platform.flower_url}{path}", auth=credentials, timeout=10)

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Every task Flower knows, by its id."""
        return dict(self.page("/api/tasks?limit=100000").json())

    def state(self, name: str) -> str | None:
        """What Flower says of a job of the story."""
        return (self.tasks().get(self.jobs[name].job_id) or {}).get("state")

    def contradictions(self) -> list[str]:
        """Rows and tasks that do not agree, one sentence each."""
        tasks = {id_: task for id_, task in self.tasks().items() if id_ != _FORGED}
        with self.platform.runtime.database.read() as session:
            query = select(LLMOutput.job_id, LLMOutput.status).where(LLMOutput.id > self.before)
            rows: dict[str, str] = dict(session.execute(query).all())
            earlier = select(LLMOutput.job_id).where(LLMOutput.id <= self.before)
            known = {*rows, *session.scalars(earlier)}
        states = {job_id: (tasks.get(job_id) or {}).get("state") for job_id in rows}
        wrong = [
            f"job {job_id} is {status}, Flower says {states[job_id]}"
            for job_id, status in rows.items()
            if states[job_id] not in _TRUE[status]
        ]
        return wrong + [f"task {job_id} has no row" for job_id in tasks if job_id not in known]

    def settle(self) -> None:
        """Wait until Flower has heard of all that has happened so far."""
        last = self.platform.submit()
        self.platform.wait_ended(last, timeout=_PATIENCE_SECONDS)
        eventually(
            lambda: self.tasks().get(last.job_id, {}).get("state") == "SUCCESS",
            timeout=_PATIENCE_SECONDS,
            message=lambda: self.tasks().get(last.job_id),
        )
        eventually(lambda: not self.contradictions(), timeout=30, message=self.contradictions)


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, sqlite_databases: SQLiteDatabases
) -> Iterator[Story]:
    """Everything that can become of a job has happened, and Flower was there."""
    directory: Path = tmp_path_factory.mktemp("truth")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    wanted: dict[str, Any] = {
        "lease_seconds": 5,
        "call_timeout_seconds": 300,
        "public_url": _PUBLIC_URL,
    }
    with (
        running_platform(
            directory, database_url=url, workers=2, web=True, vendors=True, **wanted
        ) as platform,
        _flower(platform) as platform.flower,
        _overheard(platform) as wire,
    ):
        _until_flower_hears(platform)
        with platform.runtime.database.read() as session:
            before = session.scalar(select(func.max(LLMOutput.id))) or 0
        story = Story(platform, wire, before)
        _simple_ends(story)
        _cancelled(story)
        _expired(story)
        _lost_workers(story)
        _unfinished(story)
        story.settle()
        yield story


def _until_flower_hears(platform: Platform) -> None:
    """It answers before it listens; what happened until then it will never know."""

    def heard() -> bool:
        job = platform.submit()
        platform.wait_ended(job)
        address = f"{platform.flower_url}/api/task/info/{job.job_id}"
        answer = httpx2.get(address, auth=(_USER, _PASSWORD), timeout=5)
        return answer.status_code == 200 and bool(answer.json()["args"])

    eventually(heard, timeout=30)


@contextmanager
def _flower(platform: Platform) -> Iterator[Part]:
    """The shipped command; its password comes from a file."""
    port = free_port()
    platform.flower_url = f"http://{LOOPBACK}:{port}/flower"
    secret = platform.directory / "flower-password"
    secret.write_text(f"{_USER}:{_PASSWORD}\n")
    env = {
        "FLOWER_BASIC_AUTH_FILE": str(secret),
        "FLOWER_PORT": str(port),
        "FLOWER_DB": str(platform.directory / "flower-memory"),
    }
    line = shipped_procfile()["flower"]
    often = f"--state_save_interval={_SAVE_MILLISECONDS}"
    flower = Part(
        _shell(re.sub(r"--state_save_interval=\d+", often, line)),
        env=platform.env | env,
        cwd=platform.directory,
        ready=lambda: _answers(f"{platform.flower_url}/healthcheck"),
    )
    flower.start()
    try:
        yield flower
    finally:
        flower.stop()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=1).status_code == 200
    except httpx2.HTTPError:
        return False


@contextmanager
def _overheard(platform: Platform) -> Iterator[Wire]:
    """Every command sent to Redis from now on."""
    wire = Wire()
    where = urlsplit(platform.redis_url)
    with socket.create_connection((where.hostname, where.port)) as connection:
        if where.password:
            connection.sendall(f"AUTH {where.password}\r\n".encode())
        connection.sendall(b"MONITOR\r\n")

        def listen() -> None:
            with suppress(ConnectionError):  # closed while there was something left to read
                while data := connection.recv(65536):
                    wire.seen.append(data)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield wire
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            listener.join(5)


def _simple_ends(story: Story) -> None:
    platform = story.platform
    secret = {
        "template": f"{_CANARY} in a template: {{{{word}}}}",
        "context": {"word": f"{_CANARY} in a value"},
        "system": f"{_CANARY} in a system prompt",
    }
    story.jobs |= {
        "completed": platform.submit(model="gpt-4", **secret),
        "other vendor": platform.submit(model="claude-sim-echo", **secret),
        "after two tries": platform.submit(model="simulator/fail-2", **secret),
        "after a 429": platform.submit(model="simulator/429-1-once", **secret),
        "six tries": platform.submit(model="simulator/500", **secret),
        "refused": platform.submit(model="simulator/400", **secret),
    }
    platform.wait_ended(*story.jobs.values(), timeout=_PATIENCE_SECONDS)
    assert platform.row(story.jobs["six tries"]).tries == 6
    assert platform.row(story.jobs["after two tries"]).tries == 3
    output_id = story.jobs["completed"].output_id
    story.jobs["run again"] = jobs.re_run(platform.runtime, platform.caller, output_id)
    platform.wait_ended(story.jobs["run again"])


def _cancelled(story: Story) -> None:
    platform = story.platform
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    unseen = platform.submit(run_at=tomorrow)
    waiting = platform.submit(model="simulator/503-600")
    running = platform.submit(model="simulator/latency-30")
    platform.wait_call(waiting)
    platform.wait_call(running)
    platform.wait_status(waiting, "pending")
    platform.ask("POST", f"/api/v1/llm_jobs/{unseen.job_id}/cancel")
    jobs.cancel(platform.runtime, platform.caller, waiting.job_id)
    platform.ask("POST", f"/api/v1/llm_jobs/{running.job_id}/cancel")
    platform.wait_ended(unseen, waiting, running, timeout=_PATIENCE_SECONDS)
    story.jobs |= {
        "cancelled unseen": unseen,
        "cancelled waiting": waiting,
        "cancelled running": running,
    }


def _expired(story: Story) -> None:
    platform = story.platform
    _pause(platform, "simulator/paused")
    soon = datetime.now(UTC) + timedelta(seconds=1)
    story.jobs |= {
        "expired waiting": platform.submit(model="simulator/503-600", deadline=soon),
        "expired unseen": platform.submit(model="simulator/paused", deadline=soon),
    }
    ended = platform.wait_ended(
        story.jobs["expired waiting"], story.jobs["expired unseen"], timeout=_PATIENCE_SECONDS
    )
    assert {row.error_code for row in ended} == {"expired"}


def _lost_workers(story: Story) -> None:
    """Three jobs whose worker is killed: one is done by another, one is held back, one was asked to
    stop while its worker was dead.
    """
    platform = story.platform
    models = ("latency-12", "latency-61", "latency-62")
    back, held, asked = (platform.submit(model=f"simulator/{model}") for model in models)
    for job in (back, held, asked):
        platform.wait_call(job)
        platform.wait_status(job, "processing")
    _pause(platform, "simulator/latency-61")
    for worker in platform.workers:
        worker.kill()
    jobs.cancel(platform.runtime, platform.caller, asked.job_id)
    platform.workers[1].start()
    platform.wait_ended(back, asked, timeout=_PATIENCE_SECONDS)
    platform.wait_status(held, "pending", timeout=_PATIENCE_SECONDS)
    story.jobs |= {"rescued": back, "rescued and held back": held, "cancelled while lost": asked}
    assert platform.row(back).fence >= 2


def _unfinished(story: Story) -> None:
    platform = story.platform
    story.jobs |= {
        "running": platform.submit(model="simulator/latency-280"),
        "waiting for a retry": platform.submit(model="simulator/503-600"),
        "waiting for its time": platform.submit(run_at=datetime.now(UTC) + timedelta(days=1)),
    }
    platform.wait_call(story.jobs["running"])
    platform.wait_call(story.jobs["waiting for a retry"])
    platform.wait_status(story.jobs["waiting for a retry"], "pending")


def _pause(platform: Platform, model: str) -> None:
    with platform.runtime.database.write() as session:
        control.pause(session, ControlKind.MODEL, model)


# --- states -----------------------------------------------------------------------------------


def test_no_task_contradicts_its_row(story: Story) -> None:
    story.settle()
    assert story.contradictions() == []
    with story.platform.runtime.database.read() as session:
        found = set(session.scalars(select(LLMOutput.status)))
    assert found == {str(status) for status in Status}, "every status was compared"


def test_each_kind_of_end_has_its_state(story: Story) -> None:
    assert {name: story.state(name) for name in story.jobs} == {
        "completed": "SUCCESS",
        "other vendor": "SUCCESS",
        "after two tries": "SUCCESS",
        "after a 429": "SUCCESS",
        "six tries": "FAILURE",
        "refused": "FAILURE",
        "run again": "SUCCESS",
        "cancelled unseen": "REVOKED",
        "cancelled waiting": "REVOKED",
        "cancelled running": "REVOKED",
        "expired waiting": "FAILURE",
        "expired unseen": "FAILURE",
        "rescued": "SUCCESS",
        "rescued and held back": "RETRY",
        "cancelled while lost": "REVOKED",
        "running": "STARTED",
        "waiting for a retry": "RETRY",
        "waiting for its time": None,
    }


def test_a_job_is_one_task_however_often_it_was_tried(story: Story) -> None:
    tasks = story.tasks()
    attempted = [job for name, job in story.jobs.items() if name != "waiting for its time"]
    for job in attempted:
        assert [id_ for id_, task in tasks.items() if id_ == job.job_id] == [job.job_id]
        named = [t for t in tasks.values() if t.get("args") == f"({job.output_id},)"]
        assert len(named) <= 1, named
    assert {tasks[job.job_id]["name"] for job in attempted} == {TASK_NAME}


def test_a_false_event_is_found(story: Story) -> None:
    """The comparison itself: whoever says that a failed job succeeded is contradicted."""
    job = story.jobs["refused"]
    told = [Ended(job.output_id, job.job_id, Status.COMPLETED)]
    truth = [Ended(job.output_id, job.job_id, s) for s in (Status.PENDING, Status.FAILED)]
    story.settle()
    story.platform.runtime.wake.speaker = lambda: "worker-1@test"
    try:
        story.platform.runtime.wake.tell(told)
        eventually(lambda: story.state("refused") == "SUCCESS")
        assert story.contradictions() == [f"job {job.job_id} is failed, Flower says SUCCESS"]
    finally:
        story.platform.runtime.wake.tell(truth)
        eventually(lambda: story.state("refused") == "FAILURE")


# --- what may be seen -------------------------------------------------------------------------


def test_a_task_names_ids_and_names_only(story: Story) -> None:
    found = story.tasks()[story.jobs["completed"].job_id]
    assert found["args"] == f"({story.jobs['completed'].output_id},)"
    assert re.fullmatch(
        r"\{'template': 'raw-[0-9a-f]{8}', 'model': 'gpt-4', 'attempt': 1\}", found["kwargs"]
    )


def test_the_list_tells_tasks_apart_by_template_and_model(story: Story) -> None:
    heads = re.findall(r"<th[^>]*>\s*([\w ]+?)\s*</th>", story.page("/tasks").text)
    assert heads == ["UUID", "State", "kwargs", "Received", "Started", "Runtime", "Worker"]


def test_no_prompt_and_no_key_is_in_flower_or_on_the_way_to_it(story: Story) -> None:
    platform = story.platform
    pages = ["/workers", "/workers?json=1", "/tasks", "/broker", "/api/workers", "/metrics"]
    pages += ["/api/tasks?limit=100000", "/api/queues/length", "/worker/worker-1@test"]
    pages += [f"{kind}/{job.job_id}" for job in story.jobs.values() for kind in _TASK_PAGES]
    seen = {path: story.page(path).text for path in pages}
    memory = [path.read_bytes() for path in platform.directory.glob("flower-memory*")]
    seen["memory"] = b"".join(memory).decode("latin-1")
    seen["redis"] = story.wire.text + str(_everything_in(platform))
    assert "raw-" in seen["memory"], "it is written"
    assert "llm_jobs.run" in seen["redis"], "it was overheard"
    secrets = [_CANARY, platform.key, _PASSWORD, *_vendor_keys(platform)]
    assert [(p, s) for p, text in seen.items() for s in secrets if s in text] == []


_TASK_PAGES = ("/task", "/api/task/info")


def _vendor_keys(platform: Platform) -> list[str]:
    return [platform.env["OPENAI_API_KEY"], platform.env["ANTHROPIC_API_KEY"]]


def _everything_in(platform: Platform) -> list[Any]:
    broker = platform.broker()
    return [broker.dump(name) for name in broker.scan_iter()]


# --- who may look -----------------------------------------------------------------------------


def test_all_but_the_health_check_asks_for_the_password(story: Story) -> None:
    job = story.jobs["completed"].job_id
    paths = ["/", "/tasks", "/broker", "/workers", "/metrics", f"/task/{job}"]
    paths += ["/api/tasks", "/api/workers", f"/api/task/info/{job}", "/worker/worker-1@test"]
    assert {path: story.page(path, auth=False).status_code for path in paths} == dict.fromkeys(
        paths, 401
    )
    assert {path: story.page(path).status_code for path in paths} == dict.fromkeys(paths, 200)
    assert story.page("/healthcheck", auth=False).text == "OK"


def test_metrics_count_what_workers_did(story: Story) -> None:
    text = story.page("/metrics").text
    assert f'flower_events_total{{task="{TASK_NAME}",type="task-failed"' in text
    assert 'flower_worker_online{worker="worker-1@test"} 1.0' in text


def test_it_listens_on_loopback_only(story: Story) -> None:
    assert story.platform.flower
    assert _listening(story.platform.flower.running.pid) == {LOOPBACK}


def _listening(pid: int) -> set[str]:
    """The addresses a process or its children accept connections at (Linux: `man 5 proc`)."""
    sockets = set()
    for one in (pid, *children_of(pid)):
        with suppress(OSError):
            sockets |= {os.readlink(fd) for fd in Path(f"/proc/{one}/fd").iterdir()}
    found = set()
    for version in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{version}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                address = bytes.fromhex(local.partition(":")[0])[::-1]
                found.add(str(ip_address(address)))
    return found


# --- the way back -----------------------------------------------------------------------------


def test_the_page_of_a_task_leads_to_its_job(story: Story) -> None:
    job = story.jobs["six tries"].job_id
    page = story.page(f"/task/{job}").text
    assert f'<a id="job-link" href="{_PUBLIC_URL}/tasks/{job}">' in page
    assert "provider_failed" in page, "Flower's own page is there, too"
    assert page.count('aria-label="Primary navigation"') == 1


def test_our_pages_know_the_address_it_leads_to(story: Story) -> None:
    job = story.jobs["six tries"]
    answer = httpx2.get(f"{story.platform.web_url}/tasks/{job.job_id}", timeout=10)
    assert answer.status_code in (302, 303), "to the output, or first to signing in"
    assert answer.headers["location"].startswith("/")


def test_a_hostile_task_id_stays_text(story: Story) -> None:
    """Anybody who can write to the broker can name a task."""
    story.platform.runtime.wake.speaker = lambda: "worker-1@test"
    story.platform.runtime.wake.tell([Ended(0, _FORGED, Status.CANCELLED)])
    page = eventually(lambda: _found(story.page(f"/task/{quote(_FORGED, safe='')}")))
    assert f'href="{_PUBLIC_URL}/tasks/{quote(_FORGED, safe="")}"' in page
    assert "<script>alert" not in page


def _found(answer: Any) -> str:
    return str(answer.text) if answer.status_code == 200 else ""


# --- its memory -------------------------------------------------------------------------------


def test_killed_it_remembers_what_it_last_saved(story: Story) -> None:
    flower = story.platform.flower
    assert flower
    before = {job_id: task["state"] for job_id, task in story.tasks().items()}
    _wait_for_a_save(story.platform.directory)
    _wait_for_a_save(story.platform.directory)
    flower.kill()
    flower.start()
    after = {job_id: task["state"] for job_id, task in story.tasks().items()}
    _until_flower_hears(story.platform)  # for whichever test comes next
    assert after == before


def _wait_for_a_save(directory: Path) -> None:
    def newest() -> int:
        saved = 0
        for path in directory.glob("flower-memory*"):
            with suppress(FileNotFoundError):  # renamed meanwhile
                saved = max(saved, path.stat().st_mtime_ns)
        return saved

    start = newest()
    eventually(lambda: newest() > start, message="nothing saved")
