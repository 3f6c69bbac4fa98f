"""Which rows a caller may see. A stranger's row and one that never was are the same: not found."""

from __future__ import annotations

import re

from sqlalchemy import ColumnElement, false, select, true
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import NotFound
from app.lookup import row_by_id
from models import LLMOutput

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def get(
    session: Session, caller: Caller, *, output_id: int | None = None, job_id: str | None = None
) -> LLMOutput:
    """One row by either of its names. Raises NotFound for an unknown one and for a stranger's."""
    if job_id is not None:
        output = _by_job_id(session, job_id)
        named = f"Unknown job: {job_id[:80]}" if job_id else "Unknown job"
    else:
        output = row_by_id(session, LLMOutput, output_id)
        named = f"Unknown output: {output_id}" if (output_id or 0) > 0 else "Unknown output"
    if output is None or not caller.sees(output.user_id):
        raise NotFound(named)
    return output


def visible(caller: Caller, *, all_users: bool = False) -> ColumnElement[bool]:
    """The condition of every list: the caller's own rows, or all for administrators who ask."""
    if all_users and caller.is_admin:
        return true()
    return false() if caller.user_id is None else LLMOutput.user_id == caller.user_id


def _by_job_id(session: Session, job_id: str) -> LLMOutput | None:
    if not _JOB_ID.fullmatch(job_id):
        return None
    return session.scalar(select(LLMOutput).where(LLMOutput.job_id == job_id))
