"""A request answered: its job, a second one where the first answer cannot be used, the response."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from app.accounts import Caller
from app.runtime import Runtime
from app.services.asked import Asked
from app.services.problems import ServiceError, internal
from app.services.turn import Done, Told, Turn, Waits


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    response: dict[str, Any]
    usage: dict[str, int]


def answering(
    runtime: Runtime,
    caller: Caller,
    asked: Asked,
    *,
    stopping: Callable[[], bool] = lambda: False,
    traceparent: str | None = None,
) -> Generator[Told | Waits | Answer, None, None]:
    """Begin the job, tell what is written, then the answer. The first `Waits` says that it began.

    Told are words that may be shown, never a part of what follows them. Closed before its end it
    cancels what runs. Raises ServiceError, and what beginning a turn raises.
    """
    longest = runtime.settings.compat_max_response_chars
    asked = asked.prepared(runtime, caller)
    turn = Turn.begin(
        runtime, caller, asked.messages(), service=asked.name, traceparent=traceparent
    )
    written = ""
    shown = 0
    for news in turn.follow(stopping=stopping):
        if isinstance(news, Done):
            written = news.text
        elif isinstance(news, Told):
            written += news.text
        else:
            yield news
            continue
        sayable = asked.sayable(written)
        if sayable[shown:]:
            yield Told(sayable[shown:])
            shown = len(sayable)
        if isinstance(news, Done):
            corrected, usage = None, news.usage
            if (messages := asked.again(news.text)) is not None:
                second = Turn.begin(runtime, caller, messages, service=asked.name)
                corrected, more = yield from _quietly(second, stopping)
                usage = {name: usage[name] + more.get(name, 0) for name in usage}
            response = asked.response(news.text, usage, longest=longest, corrected=corrected)
            yield Answer(response, usage)
            return
    raise internal()


def _quietly(
    turn: Turn, stopping: Callable[[], bool]
) -> Generator[Waits, None, tuple[str, dict[str, int]]]:
    """A second try that nobody sees; where it fails, what the first gave has to do."""
    try:
        for news in turn.follow(stopping=stopping):
            if isinstance(news, Done):
                return news.text, news.usage
            yield Waits()
    except ServiceError:
        pass
    return "", {}
