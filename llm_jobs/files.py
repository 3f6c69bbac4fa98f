"""Files of a job, as callers give them and as a request carries them.

A file is a path, or a mapping of `name` and its `text`, its `data` (bytes) or its `base64`.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

File = str | os.PathLike[str] | Mapping[str, Any]


def as_sent(files: Iterable[File]) -> list[dict[str, Any]]:
    """Each file as the API takes it: `name`, and `text` or `base64`.

    Raises OSError for a path that cannot be read, TypeError for what is no list of files.
    """
    if isinstance(files, (str, bytes, os.PathLike, Mapping)):
        raise TypeError("files must be a list of files")
    return [_sent(file) for file in files]


def _sent(file: File) -> dict[str, Any]:
    if isinstance(file, (str, os.PathLike)):
        path = Path(file)
        return {"name": path.name, "base64": _encoded(path.read_bytes())}
    if not isinstance(file, Mapping):
        raise TypeError(f"a file is a path, or a mapping, not {type(file).__name__}")
    sent = dict(file)
    if "data" in sent:
        sent["base64"] = _encoded(sent.pop("data"))
    return sent


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
