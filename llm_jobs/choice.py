"""Which way calls go: over HTTP when `LLM_JOBS_URL` is set, else into this installation.

`LLM_JOBS_URL` decides even where `DATABASE_URL` is set: other projects have one of their own.
"""

from __future__ import annotations

import atexit
import os
from functools import lru_cache
from pathlib import Path

from llm_jobs.handles import Backend


def backend() -> Backend:
    """The way of this process, by its environment at this moment.

    Raises RuntimeError saying what to set when neither way is open.
    """
    url = _setting("LLM_JOBS_URL")
    if url:
        return _http(url, _setting("LLM_JOBS_API_KEY"))
    try:
        from llm_jobs.local import local
    except ImportError as error:
        raise RuntimeError(
            "set LLM_JOBS_URL and LLM_JOBS_API_KEY to a running platform"
            f" (this environment has none installed: {error})"
        ) from error
    return local()


def _setting(name: str) -> str:
    """A variable's value, or the content of the file that `NAME_FILE` names."""
    path = os.environ.get(f"{name}_FILE")
    value = os.environ.get(name) or (Path(path).read_text(encoding="utf-8") if path else "")
    return value.strip()


@lru_cache(maxsize=8)
def _http(url: str, key: str) -> Backend:
    from llm_jobs.client import Client

    if not key:
        raise RuntimeError("LLM_JOBS_URL is set, LLM_JOBS_API_KEY is not: calls need a key")
    client = Client(url, key)
    atexit.register(client.close)
    return client
