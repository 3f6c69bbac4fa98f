"""Processes begin with what they need: no SDK of a vendor, no Flask in workers, nothing huge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

VENDORS = {"openai", "anthropic", "aiohttp", "genai_prices"}
HEAVY = {"numpy", "pandas", "flower", "jsonschema", "markdown_it", "playwright"}

BIG = VENDORS | HEAVY | {"flask", "sqlalchemy", "structlog", "pydantic", "rich"}


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        ("api.wsgi", VENDORS | {"numpy", "pandas", "flower", "playwright"}),
        (
            "workers.celery, workers.dispatching, workers.services, workers.running",
            VENDORS | HEAVY | {"flask"},
        ),
        ("app.cli, app.cli.remote, app.cli.prompts, app.cli.acting", BIG),
        ("app.cli.local, app.cli.users", VENDORS | HEAVY | {"flask"}),
        ("app.operations, app.statistics", VENDORS | HEAVY | {"flask"}),
    ],
)
def test_a_process_begins_without_what_it_may_never_need(
    tmp_path: Path, modules: str, never: set[str]
) -> None:
    program = f"import sys, {modules}\nprint(*[name for name in {never!r} if name in sys.modules])"
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
