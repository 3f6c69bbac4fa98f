"""`llm-jobs dev`, whole: real web server, worker, Flower, simulator and private Redis."""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from app.dev.ports import is_free
from tests.support.processes import RunningProcess, children_of, is_alive, run_process
from tests.support.requirements import missing
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_READY = "Ctrl-C stops everything"


def _dev(
    directory: Path, *options: str, ready: str | None = _READY, **env: str
) -> AbstractContextManager[RunningProcess]:
    command = [sys.executable, "-m", "app.dev", "--data-dir", str(directory), *options]
    return run_process(command, ready=ready, timeout=90, grace=60, env=env)


@dataclass(frozen=True)
class Shown:
    """What a start has printed."""

    text: str

    @property
    def web(self) -> str:
        return self._after("Web")

    @property
    def flower(self) -> str:
        return self._after("Flower")

    @property
    def key(self) -> str:
        return self._after("API key")

    @property
    def flower_auth(self) -> str:
        match = re.search(r"\(user (\S+), password (\S+)\)", self.text)
        assert match
        return f"{match[1]}:{match[2]}"

    @property
    def job_id(self) -> str:
        match = re.search(r"The first job, (\S+), is completed", self.text)
        assert match
        return match[1]

    @property
    def curl(self) -> str:
        match = re.search(r"^ +curl (?:.*\\\n)*.*$", self.text, re.MULTILINE)
        assert match
        return match[0]

    def _after(self, label: str) -> str:
        match = re.search(rf"^{label} +(\S+)", self.text, re.MULTILINE)
        assert match, self.text
        return match[1]


def _get(url: str, *, authorization: str | None = None, data: bytes | None = None) -> Any:
    """The answer's body, from JSON where it is JSON. Raises HTTPError."""
    headers = {"Authorization": authorization} if authorization else {}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        body = answer.read().decode()
    return json.loads(body) if body.startswith(("{", "[")) else body


def _status(url: str, *, authorization: str | None = None, data: bytes | None = None) -> int:
    try:
        _get(url, authorization=authorization, data=data)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dev") / "var"


@pytest.fixture(scope="module")
def dev(directory: Path) -> Iterator[RunningProcess]:
    """One running service for the tests that only look at it."""
    with _dev(directory, "--port", "0") as running:
        yield running


@pytest.fixture
def shown(dev: RunningProcess) -> Shown:
    return Shown(dev.output)


def test_the_first_job_has_run_and_is_a_row(shown: Shown) -> None:
    url = f"{shown.web}/api/v1/llm_jobs/{shown.job_id}"
    row = _get(url, authorization=f"Bearer {shown.key}")
    assert row["status"] == "completed"
    assert row["prompt"] == "Say hello to the world in one sentence."
    assert row["raw_response"].strip().splitlines()[0] in shown.text


def test_the_curl_it_prints_works_as_it_stands(shown: Shown) -> None:
    if not shutil.which("curl"):
        missing("curl", install="apt-get install curl")
    answer = subprocess.run(
        ["sh", "-c", f"{shown.curl} --silent --show-error --fail-with-body"],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert json.loads(answer.stdout)["output"]["status"] == "completed"


def test_the_administrator_can_sign_in(shown: Shown) -> None:
    match = re.search(r"^Sign in +(\S+)  with (\S+)  unless", shown.text, re.MULTILINE)
    assert match
    jar = urllib.request.HTTPCookieProcessor()
    browser = urllib.request.build_opener(jar)
    with browser.open(f"{shown.web}/sign-in") as form:
        token = re.search(r'name="_csrf" value="(\w+)"', form.read().decode())
    assert token
    fields = {"email": match[1], "password": match[2], "_csrf": token[1], "next": "/queues"}
    with browser.open(f"{shown.web}/sign-in", urlencode(fields).encode()) as page:
        assert (page.status, page.url) == (200, f"{shown.web}/queues")


def test_the_docs_page_is_where_it_says(shown: Shown) -> None:
    assert "<html" in _get(f"{shown.web}/docs").lower()


def test_flower_shows_the_job_to_whoever_has_the_password(shown: Shown) -> None:
    basic = "Basic " + base64.b64encode(shown.flower_auth.encode()).decode()
    assert _status(f"{shown.flower}/tasks") == 401
    info = f"{shown.flower}/api/task/info/{shown.job_id}"

    def succeeded() -> bool:
        if _status(info, authorization=basic) != 200:
            return False
        return bool(_get(info, authorization=basic)["state"] == "SUCCESS")

    eventually(succeeded, message="Flower does not show the first job as SUCCESS")


def test_flower_changes_nothing(shown: Shown) -> None:
    basic = "Basic " + base64.b64encode(shown.flower_auth.encode()).decode()
    revoke = f"{shown.flower}/api/task/revoke/{shown.job_id}"
    assert _status(revoke, authorization=basic, data=b"") == 403


def test_its_files_are_for_their_owner_only(dev: RunningProcess, directory: Path) -> None:
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for file in directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_a_second_one_on_the_same_data_is_refused(dev: RunningProcess, directory: Path) -> None:
    with _dev(directory, "--port", "0", ready=None) as second:
        assert second.wait() == 2
    assert f"another `llm-jobs dev` (process {dev.pid}) is using {directory}" in second.output


def test_no_secret_is_in_a_command_line(dev: RunningProcess, shown: Shown, directory: Path) -> None:
    secrets = [shown.flower_auth, (directory / "secret_key").read_text().strip(), shown.key]
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in children_of(dev.pid)]
    assert len(lines) == 5
    assert not [secret for secret in secrets if any(secret in line for line in lines)]


def test_stopped_and_started_again_it_keeps_its_rows_and_secrets(tmp_path: Path) -> None:
    with _dev(tmp_path / "var", "--port", "0") as first:
        before = Shown(first.output)
        children = children_of(first.pid)
        first.signal(signal.SIGINT)
        assert first.wait(timeout=60) == 0
    assert first.output.endswith("Stopped.\n")
    assert not [pid for pid in children if is_alive(pid)]
    with _dev(tmp_path / "var", "--port", "0") as second:
        after = Shown(second.output)
        url = f"{after.web}/api/v1/llm_jobs/{before.job_id}"
        assert _get(url, authorization=f"Bearer {before.key}")["status"] == "completed"
    assert after.flower_auth == before.flower_auth
    assert after.key != before.key


def test_killed_it_leaves_no_process_and_starts_again(tmp_path: Path) -> None:
    with _dev(tmp_path / "var", "--port", "0") as first:
        port = int(Shown(first.output).web.rpartition(":")[2])
        children = children_of(first.pid)
        first.signal(signal.SIGKILL)
        first.wait()
        eventually(
            lambda: not [pid for pid in children if is_alive(pid)] and is_free(port),
            message="a child is alive, or the port is taken",
        )
    with _dev(tmp_path / "var", "--port", str(port)):
        pass


def test_two_variables_put_it_on_postgresql_and_another_redis(
    tmp_path: Path, empty_postgres_url: str, redis_url: str
) -> None:
    parts = {"DATABASE_URL": empty_postgres_url, "REDIS_URL": redis_url}
    with _dev(tmp_path / "var", "--port", "0", **parts) as dev:
        shown = Shown(dev.output)
        assert len(children_of(dev.pid)) == 4
        url = f"{shown.web}/api/v1/llm_jobs/{shown.job_id}"
        assert _get(url, authorization=f"Bearer {shown.key}")["status"] == "completed"
        with psycopg.connect(empty_postgres_url) as connection:
            rows = connection.execute("SELECT job_id::text, status FROM llm_outputs").fetchall()
    assert rows == [(shown.job_id, "completed")]
    assert not (tmp_path / "var" / "llm_jobs.db").exists()
