"""How gunicorn serves the API: read by `gunicorn --config python:api.gunicorn api.wsgi:app`.

Each lower-case name below is a gunicorn setting. One process with many threads: a request waits
far more than it computes, and a held `?wait=` or event stream occupies one thread. For more
processes set WEB_CONCURRENCY, which gunicorn reads itself.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from app import log, telemetry
from app.dev.tether import die_with_parent
from app.settings import load_settings

_settings = load_settings()
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

log.configure(_settings, json=not sys.stderr.isatty())


class _OnePipeline(Logger):  # type: ignore[misc]
    """Hands gunicorn's own records to the pipeline that all others go through."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


bind = [f"{_host}:{_settings.port}"]
worker_class = "gthread"
threads = _settings.web_threads
worker_connections = max(1000, 4 * threads)

timeout = 60  # of silence of a whole process, not of a request
graceful_timeout = 10
keepalive = 5

limit_request_line = 8190  # lists carry filters and cursors in their query
limit_request_fields = 100
limit_request_field_size = 8190

logger_class = _OnePipeline
loglevel = _settings.log_level.lower()
accesslog = None  # the application logs each request itself, as one structured line
control_socket_disable = True  # it would be made in the home directory, which may not exist


def post_fork(server: Any, worker: Any) -> None:
    """A killed master takes its workers along, so that the port is free for the next start."""
    die_with_parent(parent=server.pid)


def post_worker_init(worker: Any) -> None:
    """Held requests end when a stop is asked for; else they would keep it waiting all its grace."""
    from api.holding import let_go

    stop = signal.getsignal(signal.SIGTERM)

    def let_go_and_stop(sign: int, frame: FrameType | None) -> None:
        let_go(worker.wsgi)
        if callable(stop):
            stop(sign, frame)

    signal.signal(signal.SIGTERM, let_go_and_stop)


def worker_exit(server: Any, worker: Any) -> None:
    """What was traced goes out; a collector that does not take it holds no stop."""
    telemetry.stop(timeout_seconds=2)
