"""The files of rows: facts stand in the row, their texts are read only where they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.context.files import ReadFile
from app.errors import PayloadTooLarge
from models import LLMOutput

MOST_CHARACTERS = 32 * 1024 * 1024
"""Of the files of jobs that are derived in one request."""


def facts_of(files: Sequence[ReadFile]) -> list[dict[str, Any]] | None:
    """What a row tells of its files: everything but their texts."""
    return [
        {
            "name": file.name,
            "media_type": file.media_type,
            "size": file.size,
            "characters": len(file.text),
        }
        for file in files
    ] or None


def texts_of(files: Sequence[ReadFile]) -> list[str] | None:
    """What a row keeps beside that, in the same order."""
    return [file.text for file in files] or None


def files_of(session: Session, output: LLMOutput) -> tuple[ReadFile, ...]:
    """The files of a row, with their texts."""
    return files_of_many(session, [output])[output.id]


def files_of_many(
    session: Session, outputs: Sequence[LLMOutput]
) -> dict[int, tuple[ReadFile, ...]]:
    """The files of rows, with their texts, by output id; one query for all that have any."""
    query = select(LLMOutput.id, LLMOutput.file_texts).where(
        LLMOutput.id.in_([output.id for output in outputs if output.files])
    )
    texts = {row.id: row.file_texts for row in session.execute(query)}
    return {
        output.id: tuple(
            ReadFile(file["name"], text, file["media_type"], file["size"])
            for file, text in zip(output.files or (), texts.get(output.id) or (), strict=True)
        )
        for output in outputs
    }


def too_many_files(outputs: Sequence[LLMOutput]) -> Mapping[int, PayloadTooLarge]:
    """Those of the rows, by id, whose files no longer fit into one request, and what to say."""
    left, refused = MOST_CHARACTERS, {}
    for output in outputs:
        left -= sum(file["characters"] for file in output.files or ())
        if left < 0:
            refused[output.id] = PayloadTooLarge(
                f"The files of output {output.id} are too many: run it by itself"
            )
    return refused
