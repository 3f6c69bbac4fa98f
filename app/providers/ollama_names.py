"""The names of the models an Ollama server has, read at most once a minute.

Used where a bare model name may be one of Ollama's; needs no SDK. A server that does not answer
has no models, which is remembered for the same minute.
"""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock
from time import monotonic

from app.settings import Settings

FRESH_SECONDS = 60.0
TIMEOUT_SECONDS = 1.0
MAX_BYTES = 1024 * 1024

_lists: dict[str, tuple[float, tuple[str, ...]]] = {}
_reading = Lock()


def has(model: str, settings: Settings) -> bool:
    """Whether Ollama lists `model`; a name without a tag means its tag `latest`."""
    wanted = model if ":" in model else f"{model}:latest"
    return wanted in read(settings)


def read(settings: Settings) -> tuple[str, ...]:
    """All names on the list, with their tags; empty when there is no server."""
    url = settings.ollama_base_url
    with _reading:  # the first asks, the others wait for its answer
        asked_at, names = _lists.get(str(url), (None, ()))
        if asked_at is None or monotonic() - asked_at > FRESH_SECONDS:
            names = _ask(str(url.host), url.port or 11434, f"{url.path or ''}", url.scheme)
            _lists[str(url)] = monotonic(), names
        return names


def _ask(host: str, port: int, path: str, scheme: str) -> tuple[str, ...]:
    kind = HTTPSConnection if scheme == "https" else HTTPConnection
    connection = kind(host.strip("[]"), port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{path.rstrip('/')}/api/tags")
        response = connection.getresponse()
        body = json.loads(response.read(MAX_BYTES)) if response.status == 200 else {}
        return tuple(str(one["name"]) for one in body["models"])
    except (OSError, HTTPException, ValueError, RecursionError, KeyError, TypeError):
        return ()
    finally:
        connection.close()
