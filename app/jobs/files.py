"""The files of rows: read apart from them, for no list needs their texts, and bounded in sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.context.files import ReadFile
from app.errors import PayloadTooLarge
from models import LLMOutput

MOST_CHARACTERS = 32 * 1024 * 1024
"""Of the files of jobs that are derived in one request."""


class FilesOfParents:
    """Reads the files of one parent after the other, up to `MOST_CHARACTERS` of them all."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._left = MOST_CHARACTERS

    def of(self, parent: LLMOutput) -> tuple[ReadFile, ...]:
        """Its files. Raises PayloadTooLarge when it should be derived in a request of its own."""
        files = files_of(self._session, parent)
        self._left -= sum(len(file.text) for file in files)
        if self._left < 0:
            raise PayloadTooLarge(f"The files of output {parent.id} are too many: run it by itself")
        return files


def files_of(session: Session, output: LLMOutput) -> tuple[ReadFile, ...]:
    """The files of a row, with their texts."""
    if output.script is None:
        return ()  # only a definition's placeholders read files
    return files_from(session.scalar(select(LLMOutput.files).where(LLMOutput.id == output.id)))


def files_from(stored: Sequence[dict[str, Any]] | None) -> tuple[ReadFile, ...]:
    """The files of a row's column."""
    return tuple(ReadFile(**file) for file in stored or ())


def as_stored(files: Sequence[ReadFile]) -> list[dict[str, Any]] | None:
    """Files as a row keeps them."""
    return [asdict(file) for file in files] or None
