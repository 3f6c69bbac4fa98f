"""Rows as a file: CSV for spreadsheets, JSON lines for programs. Written as it is read, in batches.

Each batch is a short reading transaction of its own that goes on below the last id, so a long
export holds nothing and costs no more memory than one batch. It is no snapshot: a row shows what it
was when its batch was read; rows accepted after the beginning are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from app import csv_text
from app.accounts import Caller
from app.db import Database
from app.jobs.access import visible
from app.jobs.lines import TEMPLATE_CHARACTERS
from app.jobs.search import Filters, matching
from app.moments import iso
from models import Feedback, LLMOutput

MOST_EXPORTED = 100_000
_BATCH = 500
_BATCH_WITH_TEXTS = 50

_FACTS = {
    "id": LLMOutput.id,
    "job_id": LLMOutput.job_id,
    "status": LLMOutput.status,
    "template": func.substr(LLMOutput.template_name, 1, TEMPLATE_CHARACTERS).label("template"),
    "prompt_name": LLMOutput.prompt_name,
    "prompt_version": LLMOutput.prompt_version,
    "model": LLMOutput.model_name,
    "format": LLMOutput.format,
    "queue": LLMOutput.queue,
    "tries": LLMOutput.tries,
    "max_tries": LLMOutput.max_tries,
    "created_at": LLMOutput.created_at,
    "started_at": LLMOutput.started_at,
    "finished_at": LLMOutput.finished_at,
    "input_tokens": LLMOutput.input_tokens,
    "output_tokens": LLMOutput.output_tokens,
    "cached_tokens": LLMOutput.cached_tokens,
    "cost": LLMOutput.cost,
    "feedback": LLMOutput.feedback,
    "feedback_comment": LLMOutput.feedback_comment,
    "error_code": LLMOutput.error_code,
    "parent_id": LLMOutput.parent_id,
    "root_id": LLMOutput.root_id,
    "derivation": LLMOutput.derivation,
    "user_id": LLMOutput.user_id,
}
_TEXTS = {
    "template": LLMOutput.template_name,
    "context": LLMOutput.context,
    "system": LLMOutput.system,
    "messages": LLMOutput.messages,
    "prompt": LLMOutput.prompt,
    "raw_response": LLMOutput.raw_response,
    "parsed_output": LLMOutput.parsed_output,
    "error_message": LLMOutput.error_message,
}


def columns(*, texts: bool) -> list[str]:
    """The names of a row's values, in their order; `texts` adds prompts, contexts and answers, and
    has the whole template instead of its first words.
    """
    return list(_FACTS | _TEXTS if texts else _FACTS)


def export_rows(
    database: Database,
    caller: Caller,
    *,
    ids: Sequence[int] | None = None,
    filters: Filters | None = None,
    texts: bool = False,
    most: int = MOST_EXPORTED,
) -> Iterator[Mapping[str, Any]]:
    """Rows the caller sees, newest first: those of `ids`, else those of a list; at most `most`.

    Moments are ISO 8601 texts, cost is an exact decimal of US dollars. Raises as `list_outputs`.
    """
    with database.read() as session:
        below = (session.scalar(select(func.max(LLMOutput.id))) or 0) + 1
    left = most
    while left > 0:
        batch = min(left, _BATCH_WITH_TEXTS if texts else _BATCH)
        with database.read() as session:
            if ids is None:
                conditions = matching(session, caller, filters or Filters())
            else:
                conditions = [LLMOutput.id.in_(ids), visible(caller, all_users=True)]
            query = _rows(texts=texts).where(*conditions, LLMOutput.id < below)
            found = session.execute(query.limit(batch)).mappings().all()
        yield from (_shown(row) for row in found)
        left -= len(found)
        if len(found) < batch:
            return
        below = found[-1]["id"]


def as_csv(rows: Iterable[Mapping[str, Any]], *, texts: bool = False) -> Iterator[bytes]:
    """A CSV file in pieces: UTF-8 with a mark, CRLF, a head line; quoted where it must be.

    A text that a spreadsheet would take for a formula begins with an apostrophe; numbers do not.
    """
    names = columns(texts=texts)
    yield (csv_text.BYTE_ORDER_MARK + csv_text.line(names)).encode()
    for row in rows:
        yield csv_text.line([row[name] for name in names]).encode()


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """JSON lines in pieces: a row a line, UTF-8 without a mark; cost is a number."""
    for row in rows:
        yield (json.dumps(row, ensure_ascii=False, default=float) + "\n").encode()


def _rows(*, texts: bool) -> Select[tuple[Any, ...]]:
    chosen = _FACTS | _TEXTS if texts else _FACTS
    named = [column.label(name) for name, column in chosen.items()]
    return select(*named).order_by(LLMOutput.id.desc())


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {
        str(name): iso(value) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
    return {**shown, "feedback": Feedback(row["feedback"]).word}
