"""Reads a JSON request body strictly: what passes here can be stored, compared and shown again.

Python's own reader takes NaN, duplicate keys, lone surrogates and NUL, and stumbles over depth;
databases then refuse some of it much later. So type, size, depth, width, texts and numbers are
checked here, each refusal naming the JSON pointer of the culprit. What the fields mean is the
schemas' business.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from app.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

log = structlog.get_logger(__name__)

JSON = "application/json"
JSON_API = "application/vnd.api+json"
MULTIPART = "multipart/form-data"
ACCEPTED_TYPES = (JSON, JSON_API)

MEGABYTE = 1024 * 1024
MAX_DEPTH = 32
MAX_KEYS = 1000
MAX_TEXT_BYTES = 256 * 1024
MAX_NUMBER_CHARACTERS = 300
MAX_UPLOAD_BYTES = 16 * MEGABYTE
READ_OFF_BYTES = 64 * MEGABYTE
READ_OFF_SECONDS = 5.0
"""How much, and for how long, is read of a body that is refused already."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body, each text in it and the number of its keys may be. `items` names the list
    whose elements count their keys alone.

    With `files` a body may carry files (`api.uploads` reads it): up to `MAX_UPLOAD_BYTES` with
    them, `max_bytes` without. As `multipart/form-data` its JSON object is the part named `part`.
    """

    max_bytes: int = MEGABYTE
    max_text_bytes: int = MAX_TEXT_BYTES
    max_keys: int = MAX_KEYS
    items: str | None = None
    files: bool = False
    part: str = "job"


ORDINARY = BodyLimits()
BULK = BodyLimits(max_bytes=16 * MEGABYTE, items="jobs")
FILES = BodyLimits(files=True)


def read_object(request: Request, limits: BodyLimits = ORDINARY) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object.

    Raises UnsupportedMediaType, PayloadTooLarge, or InvalidRequest saying what and where.
    """
    raw = read_bytes(request, limits.max_bytes)
    if not raw.strip():
        return {}
    document = parse(raw)
    check(document, limits)
    return an_object(document)


def read_bytes(request: Request, max_bytes: int, *, types: Sequence[str] = ACCEPTED_TYPES) -> bytes:
    """The whole body, if it is of one of these types.

    Raises UnsupportedMediaType, PayloadTooLarge, or InvalidRequest for one that breaks off.
    """
    try:
        if _declares_body(request):
            _require_type(request, types)
        return _read(request, max_bytes)
    except (PayloadTooLarge, UnsupportedMediaType):
        _read_off(request)
        raise


def an_object(document: Any) -> dict[str, Any]:
    """The same, if it is a JSON object; raises InvalidRequest."""
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object", pointer="")
    return document


def parse(raw: bytes) -> Any:
    """JSON text as Python values. Numbers and objects that must be refused become `Refused`."""
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidRequest("Malformed JSON: the body is not UTF-8", pointer="") from None
    except RecursionError:
        raise _too_deep("") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidRequest(f"Malformed JSON: {error.msg} at {where}", pointer="") from None


def check(document: Any, limits: BodyLimits = ORDINARY) -> None:
    """Refuse what could not be stored or would cost too much; raises InvalidRequest."""
    items = document.get(limits.items) if limits.items and isinstance(document, dict) else None
    top = _Place(None, "", depth=1)
    if not isinstance(items, list):
        _check_tree(document, top, limits)
        return
    _check_tree({key: value for key, value in document.items() if key != limits.items}, top, limits)
    each = _Place(top, str(limits.items), depth=0)
    for number, item in enumerate(items):
        _check_tree(item, _Place(each, number, depth=1), limits)


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands in a parsed document where something cannot be accepted, until its place is known."""

    why: str


def _read(request: Request, max_bytes: int) -> bytes:
    # One byte more than allowed: at its limit, Werkzeug cuts a chunked body without a word.
    request.max_content_length = max_bytes + 1
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise too_large(max_bytes) from None
    except Exception as error:  # whatever the server raises for broken chunks or a lost client
        log.info("request body not read", error=type(error).__name__)
        raise InvalidRequest("The body could not be read", pointer="") from None
    if len(raw) > max_bytes:
        raise too_large(max_bytes)
    if request.content_length is not None and len(raw) < request.content_length:
        raise InvalidRequest("The body is shorter than its Content-Length", pointer="")
    return raw


def _read_off(request: Request) -> None:
    """Read what the client still sends, within reason: most read no answer before they have sent
    all, and a server that hangs up meanwhile looks broken instead of strict.
    """
    source, until = request.environ["wsgi.input"], time.monotonic() + READ_OFF_SECONDS
    left = READ_OFF_BYTES
    with suppress(Exception):  # broken chunks, a lost client: there is nobody left to tell
        while left > 0 and time.monotonic() < until:
            piece = source.read(min(left, 64 * 1024))
            if not piece:
                return
            left -= len(piece)


def too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {max_bytes:,} bytes", max_bytes=max_bytes)


def _declares_body(request: Request) -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _require_type(request: Request, types: Sequence[str]) -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in types or charset not in ("utf-8", "utf8"):
        sent = request.headers.get("Content-Type", "none")[:100]
        wanted = " or ".join(name for name in types if name != JSON_API)
        raise UnsupportedMediaType(f"Content-Type must be {wanted}, not {sent}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("Content-Encoding is not supported; send the body plain")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Refused:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return Refused(f"Duplicate key: {twice[:100]}")


def _whole(text: str) -> int | Refused:
    if len(text) > MAX_NUMBER_CHARACTERS:
        return Refused(f"Number is longer than {MAX_NUMBER_CHARACTERS} characters")
    return int(text)


def _real(text: str) -> float | Refused:
    value = float(text)
    return value if math.isfinite(value) else Refused("Number is out of range")


def _constant(name: str) -> Refused:
    return Refused(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_real, parse_constant=_constant
)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a value stands; its pointer is only spelled out for a refusal."""

    parent: _Place | None
    name: str | int
    depth: int

    @property
    def pointer(self) -> str:
        """The JSON pointer (RFC 6901)."""
        names: list[str] = []
        place: _Place | None = self
        while place is not None:
            names.append(str(place.name).replace("~", "~0").replace("/", "~1"))
            place = place.parent
        return "/".join(reversed(names))


def _check_tree(root: Any, top: _Place, limits: BodyLimits) -> None:
    """Breadth first and without recursion: the shallowest fault is the one reported."""
    keys_left = limits.max_keys
    waiting = deque([(root, top)])
    while waiting:
        value, place = waiting.popleft()
        _check_value(value, place, limits)
        if isinstance(value, dict):
            keys_left -= len(value)
            if keys_left < 0:
                raise InvalidRequest(f"More than {limits.max_keys:,} keys", pointer=place.pointer)
            for key in value:
                _check_text(key, place, limits)
        if isinstance(value, (dict, list)):
            waiting.extend(
                (item, _Place(place, name, place.depth + 1))
                for name, item in (value.items() if isinstance(value, dict) else enumerate(value))
                if isinstance(item, (str, dict, list, Refused))
            )


def _check_value(value: Any, place: _Place, limits: BodyLimits) -> None:
    if isinstance(value, Refused):
        raise InvalidRequest(value.why, pointer=place.pointer)
    if isinstance(value, str):
        _check_text(value, place, limits)
    elif isinstance(value, (dict, list)) and place.depth > MAX_DEPTH:
        raise _too_deep(place.pointer)


def _check_text(text: str, place: _Place, limits: BodyLimits) -> None:
    if fault := text_fault(text, limits.max_text_bytes):
        raise InvalidRequest(fault, pointer=place.pointer)


def text_fault(text: str, max_bytes: int) -> str:
    """Why a text cannot be stored, as a sentence; empty when it can."""
    if "\x00" in text:
        return "Text contains a NUL character"
    try:
        length = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return "Text contains a lone surrogate"
    return f"Text is longer than {max_bytes:,} bytes" if length > max_bytes else ""


def _too_deep(pointer: str) -> InvalidRequest:
    return InvalidRequest(f"JSON is nested deeper than {MAX_DEPTH} levels", pointer=pointer)
