"""One request and its reply, as every adapter does them: open, read whole or as a stream, close.

Takes an SDK's raw streaming response (`with_streaming_response`): the SDK builds, signs and sends
the request, we read what comes back. What the reply's fields mean is the draft's (`draft`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from app.errors import CallError, InvalidResponse, Refused
from app.providers.contract import OnText
from app.providers.draft import Draft, Response, is_stream, parse_object, word
from app.providers.events import Event, EventReader
from app.providers.failures import from_exception

LINGER_SECONDS = 2.0
"""How long a finished stream may take to send its usage and say goodbye; then it is hung up."""

AnyResponse = TypeVar("AnyResponse", bound=Response)


@asynccontextmanager
async def exchange(
    request: AbstractAsyncContextManager[AnyResponse], *, provider: str, secret: str
) -> AsyncIterator[AnyResponse]:
    """Send `request` and give its reply; the connection is closed whatever happens inside.

    Every failure leaves as one CallError that knows the reply's status and id; `secret` never
    appears in its message.
    """
    try:
        response = await request.__aenter__()
    except Exception as error:
        raise _masked(from_exception(error, provider), secret) from None
    try:
        yield response
    except CallError as error:
        raise _masked(_placed(error, response), secret) from None
    finally:
        await response.close()


async def read(response: Response, draft: Draft, on_text: OnText | None) -> None:
    """Read the whole reply into `draft`. A server may ignore that a stream was asked for."""
    if is_stream(response):
        await read_stream(response, draft, on_text)
    else:
        draft.take_whole(await read_object(response))


async def read_object(response: Response) -> Mapping[str, Any]:
    """The reply's body as a JSON object. Raises InvalidResponse for anything else."""
    return parse_object(await response.read())


async def read_stream(response: Response, draft: Draft, on_text: OnText | None) -> None:
    """Feed every event into `draft`, passing text on as it arrives.

    Raises a CallError that carries the text and usage so far when the stream ends, is cut or turns
    wrong before its terminal event. What happens after that event is no matter.
    """
    reader = EventReader()
    try:
        async with asyncio.timeout(None) as linger:
            async for chunk in response.iter_bytes():
                await _pass_on(reader.feed(chunk), draft, on_text)
                if draft.ended and linger.when() is None:
                    linger.reschedule(asyncio.get_running_loop().time() + LINGER_SECONDS)
        if not draft.ended:
            raise InvalidResponse("the stream ended before the answer did")
    except TimeoutError:
        if not linger.expired():
            raise
    except CallError as error:
        if not draft.ended:
            error.text = str(draft.text)
            error.usage = draft.usage
            raise


async def _pass_on(events: list[Event], draft: Draft, on_text: OnText | None) -> None:
    """Take the events that came together; the text before a bad one is passed on as well."""
    pieces: list[str] = []
    try:
        for event in events:
            pieces.append(draft.take(event))  # noqa: PERF401
    finally:
        piece = "".join(pieces)
        if piece and on_text is not None:
            await on_text(piece)


def listed_models(body: Mapping[str, Any]) -> list[str]:
    """The names in a list of models; all vendors list them alike. Raises InvalidResponse."""
    listed = body.get("data")
    if not isinstance(listed, list):
        raise InvalidResponse("the list of models is none")
    names = (word(one.get("id")) for one in listed if isinstance(one, Mapping))
    return [name for name in names if name]


def _placed(error: CallError, response: Response) -> CallError:
    """The error with the reply's facts. A refusal was paid for; a broken 200 may have been."""
    error.http_status = error.http_status or response.status_code
    error.request_id = error.request_id or response.request_id
    if error.billed is False and response.status_code == 200:
        error.billed = True if isinstance(error, Refused) else None
    return error


def _masked(error: CallError, secret: str) -> CallError:
    if secret and secret in error.message:
        error.message = error.message.replace(secret, "[redacted]")
        error.args = (error.message,)
    return error
