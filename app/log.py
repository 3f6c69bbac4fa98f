"""The one log pipeline: every record, ours and foreign, leaves it as one redacted line.

Modules log with `structlog.get_logger(__name__)`, a named event and facts as key-values; the names
that are a promise to readers of logs stand here. Nothing here decides what is worth a line.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from app.settings import Settings

# Names of events, as `spec/jobs.md` promises them to whoever reads the lines.
JOB_QUEUED = "LLMJob queued"
JOB_STARTED = "LLMJob started"
JOB_COMPLETED = "LLMJob completed successfully"
JOB_FAILED = "LLMJob failed"
JOB_FAILED_FOR_GOOD = "Job permanently failed after all retries"
JOB_DEBUG = "LLMJob debug"
FEEDBACK_RECEIVED = "LLM output feedback received"

TEMPLATE_CHARACTERS = 80
REDACTED = "[redacted]"

_QUIET = (
    "alembic",
    "httpx2",
    "httpcore2",
    "httpx",
    "httpcore",
    "openai",
    "anthropic",
    "urllib3",
    "amqp",
)
"""Libraries whose INFO lines hold addresses or headers: only their warnings are ours to show."""

_SECRET_NAME = re.compile(
    r"(^|[_-])(authorization|cookie|password|passwd|secret|credentials?|token|(api|private|secret|access)[_-]?key)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(?P<before>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|\bljk_(?:live|test)_[A-Za-z0-9_-]+"
    r"|\bsk-[A-Za-z0-9_-]{8,}"
    r"|(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@]*:[^\s/@]+@",
    re.IGNORECASE,
)
_DEEPEST = 8


def retry_event(number: int, of: int, seconds: float) -> str:
    """The name of the event of retry `number` (from 1) of `of`, as the seed words it."""
    return f"LLMJob retry {number}/{of} in {round(seconds, 2):g} seconds"


def shown_template(template: str, *, script: object = None, prompt_name: str | None = None) -> str:
    """What a log line may show of a template: its first 80 characters, never a value. A definition
    (`script`) goes by its name; of one that came with its job nothing is shown. A script that has a
    kind, such as a turn of a chat, is filed under it.
    """
    if script is not None and not (isinstance(script, Mapping) and "kind" in script):
        return prompt_name or "[definition]"
    return template[:TEMPLATE_CHARACTERS]


def configure(settings: Settings, *, json: bool, stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's logging through one pipeline, to `stream`.

    `json` writes one JSON object a line (keys `timestamp`, `level`, `message`, …), else lines for
    people. The default stream is standard error: standard output belongs to a command's answer.
    Calling it again replaces the pipeline.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_last_steps(json=json, colours=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def bind(**facts: Any) -> None:
    """Put facts (a request id, a job id) on every further line of this thread or task."""
    structlog.contextvars.bind_contextvars(**facts)


def clear() -> None:
    """Forget the facts bound in this thread or task."""
    structlog.contextvars.clear_contextvars()


def bound(**facts: Any) -> AbstractContextManager[None]:
    """`bind` until the end of a block, then as before."""
    return structlog.contextvars.bound_contextvars(**facts)


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The last step before a line is written: no secret passes, by its name or by its look."""
    return {name: _clean(name, value, 0) for name, value in event.items()}


def redact_text(text: str) -> str:
    """The same text with whatever looks like a key, a bearer token or a URL's password blanked."""
    return _SECRET_VALUE.sub(_blank, text)


def redact_value(value: Any) -> Any:
    """The same JSON value with every secret in it blanked, by its name or by its look."""
    return _clean("", value, 0)


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is nobody's to see: `password`, `api_key`, …"""
    return _SECRET_NAME.search(name) is not None


def _clean(name: str, value: Any, depth: int) -> Any:
    if value is not None and is_secret_name(name):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if depth >= _DEEPEST:
        return redact_text(str(value))
    if isinstance(value, Mapping):
        return {str(k): _clean(str(k), item, depth + 1) for k, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean("", item, depth + 1) for item in value]
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    return redact_text(str(value))


def _blank(match: re.Match[str]) -> str:
    if match["before"]:
        return match["before"] + REDACTED
    if match["scheme"]:
        return f"{match['scheme']}{REDACTED}@"
    return REDACTED


def _shared() -> list[Processor]:
    """What our events and foreign records both go through."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _last_steps(*, json: bool, colours: bool) -> list[Processor]:
    if not json:
        plain = structlog.dev.plain_traceback  # tracebacks were made text before the redaction
        return [redact, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
    return [
        structlog.processors.EventRenamer("message"),
        redact,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
