"""Is this process up (`/healthz`, also `/livez`), and can it do its work (`/readyz`)?

All are public: they say which part is away, never why in the words of a driver.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from api.auth import PUBLIC
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.operations import Alive, Living, Readiness
from app import migrate
from app.errors import Unavailable
from app.liveness import live_workers
from app.runtime import Runtime

routes = Routes(tag="health")

_VERSION = version("llm-jobs")


@routes.get(
    "/healthz",
    access=PUBLIC,
    answers={200: Answer(description="The process answers.", model=Alive)},
    uses_database=False,
)
def check_process(call: Call[Empty, Empty]) -> Reply:
    """Say that the process answers.

    Looks at nothing else: restarting this process mends nothing that is away elsewhere.
    """
    return Reply(body={"status": "ok"})


@routes.get(
    "/livez",
    access=PUBLIC,
    answers={200: Answer(description="The process answers.", model=Living)},
    uses_database=False,
)
def check_alive(call: Call[Empty, Empty]) -> Reply:
    """Say that the process answers: `/healthz` by the name Kubernetes uses, and the version."""
    return Reply(body={"status": "ok", "version": _VERSION})


@routes.get(
    "/readyz",
    access=PUBLIC,
    answers={
        200: Answer(description="All is well.", model=Readiness),
        503: Answer(description="Something is away; the checks say what.", model=Readiness),
    },
    uses_database=False,
)
def check_readiness(call: Call[Empty, Empty]) -> Reply:
    """Check database, migrations, broker and workers."""
    checks = readiness(call.runtime)
    ready = all(check["ok"] for check in checks.values())
    headers = {} if ready else {"Retry-After": "5"}
    return Reply(
        body={"ready": ready, "checks": checks}, status=200 if ready else 503, headers=headers
    )


def readiness(runtime: Runtime) -> dict[str, dict[str, Any]]:
    """Each check by its name: whether it is `ok`, a `detail` without secrets, `duration_ms`."""
    return {name: _timed(check, runtime) for name, check in _CHECKS.items()}


def _database(runtime: Runtime) -> tuple[bool, str]:
    runtime.database.ping()
    return True, "answers"


def _migrations(runtime: Runtime) -> tuple[bool, str]:
    found, newest = migrate.current(runtime.database.engine), migrate.head()
    if found == newest:
        return True, f"at {newest}"
    return False, f"at {found}, needs {newest}: run llm-jobs migrate"


def _broker(runtime: Runtime) -> tuple[bool, str]:
    answers = runtime.wake.ping()
    return answers, "answers" if answers else "is away: jobs are accepted and wait"


def _workers(runtime: Runtime) -> tuple[bool, str]:
    seconds = runtime.settings.heartbeat_seconds
    with runtime.database.read() as session:
        count = len(live_workers(session, heartbeat_seconds=seconds))
    return count > 0, f"{count} alive"


_CHECKS: dict[str, Callable[[Runtime], tuple[bool, str]]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "workers": _workers,
}


def _timed(check: Callable[[Runtime], tuple[bool, str]], runtime: Runtime) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        ok, detail = check(runtime)
    except Unavailable:
        ok, detail = False, "the database is away"
    except Exception as error:  # whatever a driver raises: the part is not well
        ok, detail = False, type(error).__name__
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    return {"ok": ok, "detail": detail, "duration_ms": milliseconds}
