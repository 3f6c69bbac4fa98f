"""One HTTP request, repeated while repeating is safe and may help. Knows no route.

What is sent may be sent twice: reading changes nothing, submitting carries an idempotency key, and
the rest sets what it sets. Where that is not so, whoever sends it says so.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from llm_jobs.errors import ApiError, Unreachable

_WORTH_REPEATING = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0


class Transport:
    """Requests to one platform with one key. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_seconds: float,
        patience_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        _check_address(url, key)
        self._patience_seconds = patience_seconds
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._http = httpx2.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=timeout_seconds,
            follow_redirects=False,
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_seconds: float = 0,
        repeats: bool = True,
    ) -> tuple[Any, Mapping[str, str]]:
        """The answer's JSON and headers. `wait_seconds` is how long the server may hold it;
        `content` is a body of another kind, which `headers` name.

        Repeats on lost connections, 429, 502, 503 and 504, after the time the server names, as
        long as patience lasts; not where `repeats` says that twice is not the same as once. Raises
        ApiError for any other refusal, Unreachable without answer.
        """
        body: dict[str, Any] = {"json": None if json is None else dict(json)}
        response = self._answer(
            method,
            path,
            patience_seconds=self._patience_seconds if repeats else 0,
            params=dict(query or {}),
            headers=dict(headers or {}),
            timeout=self._timeout_seconds + wait_seconds,
            **(body if content is None else {"content": content}),
        )
        return _json(response), response.headers

    def pages(
        self, path: str, *, limit: int, filters: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """Everything in a list, asking for its next page when that is needed; `limit` is the size
        of a page. A filter that is None is none. Raises as `send`.
        """
        query = {"limit": limit, **{n: value for n, value in filters.items() if value is not None}}
        while True:
            page, _ = self.send("GET", path, query=query)
            yield from page["data"]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def text(self, path: str, *, query: Mapping[str, Any] | None = None) -> str:
        """An answer that is a text of any kind. Repeats and raises as `send` does."""
        response = self._answer(
            "GET", path, patience_seconds=self._patience_seconds, params=dict(query or {})
        )
        return response.text

    def _answer(
        self, method: str, path: str, *, patience_seconds: float, **how: Any
    ) -> httpx2.Response:
        until = time.monotonic() + patience_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                response = self._http.request(method, path, **how)
            except httpx2.TransportError as error:
                failure: Exception = Unreachable(
                    f"{self._http.base_url} does not answer: {type(error).__name__}"
                )
                floor = 0.0
            else:
                if response.is_success:
                    return response
                failure = _refusal(response)
                floor = retry_after_seconds(response.headers.get("Retry-After")) or 0.0
                if response.status_code not in _WORTH_REPEATING:
                    raise failure
            seconds = max(floor, pause * random.uniform(0.5, 1.0))
            if time.monotonic() + seconds > until:
                raise failure
            self._sleep(seconds)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    @contextmanager
    def lines(self, path: str, *, headers: Mapping[str, str]) -> Iterator[Iterator[str]]:
        """The lines of an endless answer, as they come. Until it begins it is asked for again as
        `send` does: the place of a stream that was left a moment ago may not be free yet. Raises
        as `send`, and Unreachable when it breaks off.
        """
        until = time.monotonic() + self._patience_seconds
        while True:
            try:
                with self._http.stream(
                    "GET", path, headers={"Accept": "text/event-stream", **headers}
                ) as response:
                    if response.is_success:
                        yield response.iter_lines()
                        return
                    response.read()
            except httpx2.TransportError as error:
                raise Unreachable(f"the stream broke off: {type(error).__name__}") from error
            named = retry_after_seconds(response.headers.get("Retry-After"))
            seconds = _FIRST_PAUSE_SECONDS if named is None else named
            over = time.monotonic() + seconds > until
            if over or response.status_code not in _WORTH_REPEATING:
                raise _refusal(response)
            self._sleep(seconds)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()


def _check_address(url: str, key: str) -> None:
    """Raises ValueError for what could never be sent: such a platform is not away, it is no one."""
    try:
        there = httpx2.URL(url)
        usable = there.scheme in ("http", "https") and bool(there.host)
    except httpx2.InvalidURL:
        usable = False
    if not usable:
        raise ValueError(f"{url!r} is no address: write it as http://127.0.0.1:8000")
    if not (key.isascii() and key.isprintable()):
        raise ValueError("the API key holds characters that no key has")


def retry_after_seconds(value: str | None) -> float | None:
    """`Retry-After` in seconds, given as such or as an HTTP date; None when it is neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None


def _json(response: httpx2.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        raise ApiError(
            f"{response.url} answered something that is not JSON", status=response.status_code
        ) from None


def _refusal(response: httpx2.Response) -> ApiError:
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    return ApiError(
        str(body.get("detail") or body.get("error") or f"HTTP {response.status_code}"),
        status=response.status_code,
        code=str(body.get("code") or ""),
        request_id=body.get("request_id") or response.headers.get("X-Request-Id"),
        errors=body.get("errors") or (),
    )
