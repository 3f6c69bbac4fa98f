"""The platform that readers of the pages talk to: `llm-jobs dev` itself, with small extras.

The extras are what pages tell a reader to add: the plugins they show (taken from the pages), an
endpoint, a URL for a context fetcher, and short delays, so that retries need no patience.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.dev.ports import free_port
from app.settings import Settings
from app.simulator.testing import RunningSimulator, running_simulator
from llm_jobs import Job, Output
from tests.docs.page import ROOT, blocks
from tests.support.processes import RunningProcess, run_process

PAGES_WITH_PLUGINS = (
    "docs/how-to/add-a-provider.md",
    "docs/how-to/context-fetchers.md",
    "docs/how-to/hooks-for-prompts.md",
)
READY = "Ctrl-C stops everything"
START_SECONDS = 100


@dataclass(frozen=True)
class Platform:
    """A running platform: its address, an administrator's key, and what it has printed."""

    url: str
    key: str
    flower: str
    flower_auth: tuple[str, str]
    process: RunningProcess
    data: Path
    site: Path

    def lines(self, event: str, job_id: str) -> list[dict[str, Any]]:
        """The log lines of an event about a job."""
        found = re.findall(r"^\w+ +\| (\{.*\})$", self.process.output, re.MULTILINE)
        records = (json.loads(line) for line in found)
        return [r for r in records if r["message"].startswith(event) and r.get("job_id") == job_id]


def ended(job: Job) -> Output:
    """Wait for a job; its output."""
    return job.wait(timeout_seconds=60)


@contextmanager
def running_platform(directory: Path) -> Iterator[Platform]:
    """A platform that keeps everything below `directory`, until the block ends."""
    site = directory / "site"
    for page in PAGES_WITH_PLUGINS:
        install_plugin(Path(page), site)
    data = directory / "data"
    with (
        running_simulator() as endpoint,
        small_services() as services,
        pytest.MonkeyPatch.context() as machine,
    ):
        for field in Settings.model_fields.values():
            machine.delenv(str(field.alias), raising=False)
        command = [sys.executable, "-m", "app.dev", "--port", "0", "--data-dir", str(data)]
        with run_process(
            command,
            env=_settings(site, endpoint, services),
            cwd=directory,
            ready=READY,
            timeout=START_SECONDS,
            grace=30,
        ) as process:
            yield _read(process, data, site)


def _settings(site: Path, endpoint: RunningSimulator, services: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(site),
        "FLOWER_PORT": str(free_port()),
        "LLM_JOBS_RETRY_BASE_SECONDS": "0.2",
        "LLM_JOBS_DISPATCH_SECONDS": "0.2",
        "LLM_JOBS_RATE_LIMIT": "6000/minute",
        "LLM_JOBS_ENDPOINTS": json.dumps({"local": {"base_url": endpoint.openai_url}}),
        "LLM_JOBS_FETCH_URLS": json.dumps(
            {"rates": {"url": f"{services}/rates.json", "internal": True}}
        ),
        "LLM_JOBS_MODEL_ALIASES": json.dumps({"fast": "simulator/fast"}),
        "TEXTWORKS_URL": services,
        "TEXTWORKS_KEY": "textworks-key",
    }


def _read(process: RunningProcess, data: Path, site: Path) -> Platform:
    """What a newcomer reads in the terminal."""

    def shown(pattern: str) -> str:
        found = re.search(pattern, process.output)
        assert found, process.output
        return found[1]

    auth = process.wait_for(r"\(user (\S+), password (\S+)\)")
    return Platform(
        url=shown(r"Web +(http\S+)"),
        key=shown(r"API key +(\S+)"),
        flower=shown(r"Flower +(http\S+)"),
        flower_auth=(auth[1], auth[2]),
        process=process,
        data=data,
        site=site,
    )


def install_plugin(page: Path, site: Path) -> None:
    """Leave in `site` what pip would leave there of the package a page shows."""
    files = {b.rest: b.text for b in blocks(page) if b.mark == "file"}
    if not (ROOT / page).exists() or "pyproject.toml" not in files:
        raise AssertionError(f"{page} shows no package")
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    site.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (site / name).write_text(text, encoding="utf-8")
    name = project["name"].replace("-", "_")
    about = site / f"{name}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(points) + "\n")


class _Services(BaseHTTPRequestHandler):
    """What pages take for granted: the text service of the provider example, and a JSON file."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, {"EUR": 0.92, "date": "2026-11-20"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-Key"] != "textworks-key":
            return self._answer(401, {"error": "wrong key"})
        if asked["model"] == "busy":
            return self._answer(503, {"error": "busy"}, **{"Retry-After": "60"})
        text = asked["prompt"].upper()
        words = len(asked["prompt"].split())
        return self._answer(
            200, {"text": text, "complete": True, "words_in": words, "words_out": words}
        )

    def _answer(self, status: int, body: dict[str, Any], **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def small_services() -> Iterator[str]:
    """The address of a server that plays them, until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Services) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
