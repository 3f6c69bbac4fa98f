"""The stand-in for every model: answers or fails as a test has said, and keeps what it was asked.

It takes the place of an adapter (`app.providers.contract.Provider`), so everything before and after
a call is the real thing: rendering, parsing, repair, retries, the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy

from app import errors
from app.errors import CallError
from app.providers.contract import Answer, Call, OnText, Provider, Stop, Usage
from app.providers.registry import Route
from app.simulator.schema_value import value_for

ANSWERS: Mapping[str, str] = {
    "text": "Test response",
    "json": '{"result": "Test response"}',
    "markdown": "# Test\n\nTest response",
    "html": "<h1>Test</h1><p>Test response</p>",
}

_CODES = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CallError)
}


class StubModel:
    """Says what it was told to, for every model's name. `calls` are the calls it got, in order."""

    name = "stub"

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.told = False
        self._format = "text"
        self._text: str | None = None
        self._error: CallError | None = None
        self._failures_left: int | None = None

    def succeed(self, *, format: str = "text", text: str | None = None) -> None:
        """Answer from now on: with `text`, or with the usual answer of a format.

        A call for JSON gets JSON, and one with a schema a value that matches it, unless `text` is
        given.
        """
        if format not in ANSWERS:
            raise ValueError(f"format {format!r}: use one of {', '.join(ANSWERS)}")
        self.told, self._format, self._text, self._error = True, format, text, None

    def fail(self, error: CallError | str = "provider_failed", *, times: int | None = None) -> None:
        """Fail from now on, or `times` times and then answer.

        `error` is a CallError, or the code of one, such as `refused`, `timeout`, `rate_limited`.
        """
        if isinstance(error, str):
            if error not in _CODES:
                raise ValueError(f"error {error!r}: use one of {', '.join(sorted(_CODES))}")
            error = _CODES[error]("API failure")
        self.told, self._error, self._failures_left = True, error, times

    async def find(self, model: str) -> tuple[Route, Provider]:
        """Every model is served here (what an execution asks of `app.routes.Routes`)."""
        return Route(self.name, model, f"{self.name}:{model}:00000000"), self

    async def call(self, call: Call, *, on_text: OnText | None = None) -> Answer:
        """Answer or fail as told."""
        self.calls.append(call)
        if self._error is not None and self._failures_left != 0:
            if self._failures_left is not None:
                self._failures_left -= 1
            raise copy(self._error)
        text = self._answer(call)
        if on_text is not None:
            await on_text(text)
        asked = sum(len(message.content) for message in call.messages)
        return Answer(
            text=text,
            stop=Stop.DONE,
            usage=Usage(input_tokens=-(-asked // 4), output_tokens=-(-len(text) // 4)),
            model=call.model,
            request_id=f"stub-{len(self.calls)}",
        )

    async def models(self) -> list[str]:
        """None by name: it answers for all."""
        return []

    async def close(self) -> None:
        """Nothing is open."""

    def _answer(self, call: Call) -> str:
        if self._text is not None:
            return self._text
        if call.response_schema is not None:
            return json.dumps(value_for(call.response_schema, "Test response"))
        return ANSWERS["json" if call.json else self._format]
