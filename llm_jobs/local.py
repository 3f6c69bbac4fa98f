"""The same calls without HTTP: straight into this installation's `app.jobs`.

Imported only when `LLM_JOBS_URL` is not set. Settings come from the environment (`DATABASE_URL`,
`REDIS_URL`, …), as for the platform's own processes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields as fields_of
from typing import Any

from app import feedback as feedback_of
from app import jobs
from app.accounts import OPERATOR, Caller, caller_of
from app.context.files import ReadFile, SentFile, read_files
from app.context.plain_calls import PlainCalls
from app.context.source import DatabaseSource
from app.errors import InvalidParameter, NotFound
from app.jobs import IdempotencyRequest, JobRequest, Submission
from app.lookup import row_by_id
from app.runtime import Runtime
from app.settings import load_settings
from llm_jobs.files import as_sent
from llm_jobs.handles import ENDED, Job
from models import User

_FILLED_IN = {"script", "script_warnings", "prompt_name", "prompt_version", "agent_model"}
_KNOWN = {field.name for field in fields_of(JobRequest)} - _FILLED_IN


def local() -> Local:
    """This process's way into the installation, made on first use; a forked child makes its own."""
    global _made
    with _making:
        if _made is None or _made[0] != os.getpid():
            _made = os.getpid(), Local(Runtime.from_settings(load_settings()))
        return _made[1]


def use(runtime: Runtime | None) -> None:
    """Let calls of this process go to this runtime; None: as the settings say (for tests)."""
    global _made
    with _making:
        _made = None if runtime is None else (os.getpid(), Local(runtime))


def context_fetchers() -> PlainCalls:
    """The installation's context fetchers as plain calls."""
    runtime = local().runtime
    return PlainCalls(lambda: DatabaseSource(runtime.database, runtime.settings))


_made: tuple[int, Local] | None = None
_making = threading.Lock()


class Local:
    """`handles.Backend` over a runtime. Whoever names no user acts as the machine's operator."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def submit(self, fields: Mapping[str, Any]) -> Job:
        fields = dict(fields)
        key = fields.pop("idempotency_key", None)
        if "priority" in fields:
            fields["queue"] = fields.pop("priority")
        if unknown := sorted(fields.keys() - _KNOWN):
            raise TypeError(f"enqueue() got an unexpected argument: {', '.join(unknown)}")
        caller = self._caller(fields.get("user_id"))
        if "files" in fields:
            fields["files"] = as_sent(fields["files"])
        request = JobRequest(**{**fields, "files": tuple(_read(fields.get("files", ())))})
        return self._job(
            jobs.submit(self.runtime, caller, request, idempotency=_idempotency(key, fields))
        )

    def re_run(self, output_id: int, idempotency_key: str | None = None) -> Job:
        caller, asked = self._owner(output_id, idempotency_key), {"re_run": output_id}
        key = _idempotency(idempotency_key, asked)
        return self._job(jobs.re_run(self.runtime, caller, output_id, idempotency=key))

    def regenerate(
        self,
        output_id: int,
        changes: Mapping[str, Any],
        idempotency_key: str | None = None,
    ) -> Job:
        caller = self._owner(output_id, idempotency_key)
        key = _idempotency(idempotency_key, {"regenerate": output_id, **changes})
        return self._job(
            jobs.regenerate(self.runtime, caller, output_id, **changes, idempotency=key)
        )

    def set_feedback(
        self, output_id: int, feedback: str, comment: str | None = None, user: Any = None
    ) -> None:
        caller = self._caller(user)
        with self.runtime.database.write() as session:
            feedback_of.give(session, caller, output_id, feedback_type=feedback, comment=comment)

    def row(
        self,
        *,
        output_id: int | None = None,
        job_id: str | None = None,
        wait_seconds: float = 0,
    ) -> Mapping[str, Any]:
        row = self._read(output_id, job_id)
        if wait_seconds > 0 and row["status"] not in ENDED:
            self.runtime.events.wait_ended([row["job_id"]], wait_seconds)
            row = self._read(output_id, job_id)
        return row

    def cancel(self, job_id: str) -> Mapping[str, Any]:
        jobs.cancel(self.runtime, OPERATOR, job_id)
        return self._read(None, job_id)

    def why(self, job_id: str) -> Mapping[str, Any]:
        return jobs.why(self.runtime, OPERATOR, job_id)

    def _read(self, output_id: int | None, job_id: str | None) -> dict[str, Any]:
        with self.runtime.database.read() as session:
            output = jobs.get(session, OPERATOR, output_id=output_id, job_id=job_id)
            return jobs.describe(session, output)

    def _caller(self, user: Any) -> Caller:
        """The user (an object with an id, or the id), or the operator when none is named."""
        if user is None:
            return OPERATOR
        user_id = user if isinstance(user, int) else getattr(user, "user_id", None) or user.id
        with self.runtime.database.read() as session:
            found = row_by_id(session, User, user_id)
            if found is None:
                raise NotFound(f"Unknown user: {user_id}")
            return caller_of(found)

    def _owner(self, output_id: int, idempotency_key: str | None) -> Caller:
        """Who acts on an output: the operator, or its owner, to whom a key must belong."""
        if idempotency_key is None:
            return OPERATOR
        with self.runtime.database.read() as session:
            owner = jobs.get(session, OPERATOR, output_id=output_id).user_id
        return self._caller(owner)

    def _job(self, made: Submission) -> Job:
        return Job(
            output_id=made.output_id,
            job_id=made.job_id,
            status=made.status,
            estimated_completion=made.estimated_completion,
            warnings=tuple(made.warnings),
            replayed=made.replayed is not None,
            backend=self,
        )


def _read(files: Sequence[Mapping[str, Any]]) -> Iterable[ReadFile]:
    """The texts of files, found as for a request over HTTP. Raises a RequestError."""
    if not files:
        return ()
    sent = [_sent_file(file, f"/files/{number}") for number, file in enumerate(files)]
    return read_files(sent)


def _sent_file(file: Mapping[str, Any], pointer: str) -> SentFile:
    if unknown := sorted(file.keys() - {"name", "text", "base64"}):
        raise InvalidParameter(f"Unknown parameter: {unknown[0]}", pointer=pointer)
    try:
        data = base64.b64decode(file["base64"], validate=True) if "base64" in file else None
        return SentFile(name=file["name"], text=file.get("text"), data=data)
    except (KeyError, ValueError):
        raise InvalidParameter(
            "Invalid file. It has a name, and a text or base64", pointer=pointer
        ) from None


def _idempotency(key: str | None, asked: Mapping[str, Any]) -> IdempotencyRequest | None:
    if key is None:
        return None
    canonical = json.dumps(asked, sort_keys=True, default=str)
    return IdempotencyRequest(key, hashlib.sha256(canonical.encode()).hexdigest())
