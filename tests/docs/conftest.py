"""One running platform for all tests of pages and examples in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.dev.ports import free_port
from app.simulator.testing import running_simulator
from llm_jobs import Client
from tests.docs.platform import Platform, running_platform
from tests.docs.reader import ADDRESS, FLOWER, KEYS, Reader
from tests.support.requirements import missing


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """`llm-jobs dev`, running."""
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture
def curl() -> str:
    """The command the pages use; without it there is nothing to follow."""
    return shutil.which("curl") or missing("curl", install="apt-get install curl")


@pytest.fixture
def reader(curl: str, platform: Platform, tmp_path: Path) -> Iterator[Reader]:
    """Somebody with a terminal, the platform's address and an API key."""
    given = {"LLM_JOBS_URL": platform.url, "PYTHONPATH": str(platform.site)}
    typed = {
        ADDRESS: platform.url,
        FLOWER: platform.flower,
        "YOUR_FLOWER_PASSWORD": platform.flower_auth[1],
        **dict.fromkeys(KEYS, platform.key),
    }
    with closing(Reader(tmp_path, typed=typed, given=given)) as reader:
        yield reader


@pytest.fixture
def operator(
    curl: str, empty_postgres_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Reader]:
    """Somebody with PostgreSQL, Redis and a model's key, who is to start the platform himself."""
    port = str(free_port())
    with running_simulator() as vendor:
        given = {
            "PORT": port,
            "LLM_JOBS_URL": f"http://127.0.0.1:{port}",
            "OPENAI_API_KEY": "sk-of-the-test",
            "OPENAI_BASE_URL": vendor.openai_url,
        }
        typed = {
            ADDRESS: f"http://127.0.0.1:{port}",
            "postgresql://llm_jobs:secret@db.example.com/llm_jobs": empty_postgres_url,
            "redis://redis.example.com:6379/0": redis_url,
        }
        with closing(Reader(tmp_path, typed=typed, given=given)) as reader:
            yield reader


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    """A client of the running platform."""
    with closing(Client(platform.url, platform.key)) as client:
        yield client


@pytest.fixture
def over_http(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """`llm_jobs` in this test speaks to the running platform."""
    monkeypatch.setenv("LLM_JOBS_URL", platform.url)
    monkeypatch.setenv("LLM_JOBS_API_KEY", platform.key)
