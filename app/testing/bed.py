"""The bed tests lie on: a fresh database, no broker, and jobs carried out on the spot.

A job is carried out as a worker does it (claim, execute, write the end), one attempt after another
without their delays, so a row ends as it would in the house.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from sqlalchemy import func, select, update

from app import jobs, lifecycle
from app.accounts import OPERATOR, Caller, caller_of
from app.context.source import DatabaseSource
from app.db import Database
from app.errors import CallCancelled
from app.executor import Ending, Execution, Kit
from app.jobs import JobRequest
from app.lifecycle import (
    Again,
    Claim,
    Completed,
    Delivery,
    Ended,
    Failed,
    RetryLater,
    Snoozed,
)
from app.lookup import row_by_id
from app.migrate import upgrade
from app.prices import PriceBook
from app.prompts.chat import is_chat
from app.prompts.script import script_from
from app.queue import Wake, WakeQueue
from app.retry import RetryPolicy
from app.routes import Routes
from app.runtime import Runtime
from app.settings import Settings
from app.streaming import Events
from app.testing.model import StubModel
from models import Kind, LLMOutput, Status, User
from models.types import now

WORKER = "test"
_LEASE_SECONDS = 600.0
_MOST_ATTEMPTS = 50
_VERBS: dict[type, Any] = {
    Completed: lifecycle.complete,
    Failed: lifecycle.fail,
    RetryLater: lifecycle.retry_later,
    Snoozed: lifecycle.snooze,
}


class TestBed:
    """One test's platform. `model` is every model, `runtime` what `app.jobs` and others take."""

    __test__ = False  # not a test, whatever its name begins with

    def __init__(self, database_file: Path) -> None:
        """`database_file` holds the current schema (`migrated`)."""
        self.model = StubModel()
        self.settings = _settings(database_file)
        database = Database(self.settings.database_url)
        self.woken: list[Wake] = []
        self.runtime = Runtime(
            settings=self.settings,
            database=database,
            wake=cast("WakeQueue", _NoBroker(self.woken)),
            events=cast("Events", _NoNews(self)),
            limiter=cast("Any", None),
        )

    def close(self) -> None:
        """Close the database."""
        self.runtime.database.dispose()

    def user(self, user: Any = None) -> Caller:
        """A user's caller; who is not there yet is added. `user` is an id, an object with one, or
        None for the usual one.
        """
        user_id = _user_id(user)
        with self.runtime.database.write() as session:
            found = row_by_id(session, User, user_id)
            if found is None:
                email = getattr(user, "email", None) or f"user-{user_id}@example.org"
                found = User(id=user_id, email=email, name=getattr(user, "name", None) or "")
                session.add(found)
                session.flush()
            return caller_of(found)

    def create(self, *, user: Any = None, status: str = "completed", **fields: Any) -> LLMOutput:
        """A row of any status, with the fields of a job and what the stand-in answers."""
        usual = {
            "template": "Hello {{name}}",
            "model": "gpt-4",
            "context": {"name": "World"},
            "format": "text",
        }
        if fields.keys() & {"prompt", "prompt_xml", "definition"}:
            usual = {}  # a definition says all of it
        text = fields.pop("text", None)
        caller = self.user(user)
        made = jobs.submit(self.runtime, caller, JobRequest(**(usual | fields)))
        self._bring_to(Status(status), made.output_id, made.job_id, text)
        return self.row(made.output_id)

    def row(self, output_id: int) -> LLMOutput:
        """A row as it is now."""
        with self.runtime.database.read() as session:
            return jobs.get(session, OPERATOR, output_id=output_id)

    def perform(self, output_id: int, *, attempts: int | None = None) -> LLMOutput:
        """Carry out a job until it has ended, or for so many attempts; returns its row.

        Delays and pauses between attempts are skipped. Raises AssertionError when it has ended
        already, or does not end.
        """
        row = self.row(output_id)
        if Status(row.status).ended:
            raise AssertionError(f"job {row.job_id} has ended already: {row.status}")
        if not self.model.told and _asks_a_model(row):
            raise AssertionError("say first what the model does: stub it to succeed or to fail")
        for _ in range(attempts or _MOST_ATTEMPTS):
            self._make_due(output_id)
            self._attempt(row.job_id, output_id)
            row = self.row(output_id)
            if Status(row.status).ended:
                return row
        if attempts is None:
            raise AssertionError(f"job {row.job_id} did not end in {_MOST_ATTEMPTS} attempts")
        return row

    def newest_id(self) -> int:
        """The highest id so far; 0 when there is no row."""
        with self.runtime.database.read() as session:
            return session.scalar(select(func.max(LLMOutput.id))) or 0

    def rows_after(self, output_id: int) -> Sequence[LLMOutput]:
        """Rows made since, in order."""
        with self.runtime.database.read() as session:
            newer = select(LLMOutput).where(LLMOutput.id > output_id).order_by(LLMOutput.id)
            return session.scalars(newer).all()

    def _bring_to(self, status: Status, output_id: int, job_id: str, text: str | None) -> None:
        if status is Status.CANCELLED:
            jobs.cancel(self.runtime, OPERATOR, job_id)
        elif status is Status.PROCESSING:
            self._claim(job_id, output_id)
        elif status is not Status.PENDING:
            told, self.model = self.model, StubModel()
            try:
                if status is Status.FAILED:
                    self.model.fail("refused")
                else:
                    self.model.succeed(format=self.row(output_id).format, text=text)
                self.perform(output_id)
            finally:
                self.model = told

    def _make_due(self, output_id: int) -> None:
        with self.runtime.database.write() as session:
            for held in lifecycle.pauses(session):
                session.delete(held)
            session.execute(
                update(LLMOutput)
                .where(LLMOutput.id == output_id, LLMOutput.status == Status.PENDING)
                .values(run_at=now())
            )

    def _claim(self, job_id: str, output_id: int) -> Claim:
        with self.runtime.database.write() as session:
            claims = lifecycle.claim(
                session,
                [Delivery(output_id, job_id)],
                worker=WORKER,
                lease_seconds=_LEASE_SECONDS,
            )
        if output_id not in claims:
            raise AssertionError(f"job {job_id} is {self.row(output_id).status}: not to be claimed")
        return claims[output_id]

    def _attempt(self, job_id: str, output_id: int) -> None:
        """A thread of its own: the test itself may have an event loop running."""
        claim = self._claim(job_id, output_id)
        with ThreadPoolExecutor(1, thread_name_prefix="llm-jobs-test") as thread:
            ending = thread.submit(asyncio.run, self._execute(claim)).result()
        with self.runtime.database.write() as session:
            if not _VERBS[type(ending)](session, [ending]):
                raise AssertionError(f"job {job_id} was changed while it was carried out")

    async def _execute(self, claim: Claim) -> Ending:
        kit = Kit(
            settings=self.settings,
            routes=cast("Routes", self.model),
            events=self.runtime.events,
            source=DatabaseSource(self.runtime.database, self.settings),
            retry_policy=RetryPolicy(),
            price=PriceBook(self.runtime.database).price_call,
        )
        execution = Execution(claim, kit, _Ledger(self.runtime.database, claim))
        return await execution.run()


def migrated(directory: Path) -> Path:
    """A database file with the current schema, to copy from."""
    path = directory / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


def copy_of(template: Path, directory: Path) -> Path:
    """A test's own copy."""
    return Path(shutil.copyfile(template, directory / "llm_jobs.db"))


class _Ledger:
    """Opens further attempts of one claim, each committed before its call."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self._database = database
        self._claim = claim

    async def again(self, fence: int, kind: Kind, **facts: Any) -> int:
        item = Again(
            output_id=self._claim.output_id,
            fence=fence,
            kind=kind,
            worker=WORKER,
            lease_seconds=_LEASE_SECONDS,
            **facts,
        )
        with self._database.write() as session:
            moved = lifecycle.again(session, [item])
        if item.key not in moved:
            raise CallCancelled("The row moved on while a further call was prepared")
        return moved[item.key]


class _NoBroker:
    """Takes the place of the broker: every wake-up is kept for the test to look at."""

    def __init__(self, woken: list[Wake]) -> None:
        self._woken = woken

    def send(self, wakes: Sequence[Wake]) -> int:
        self._woken.extend(wakes)
        return len(wakes)

    def depth(self, queue: str) -> int:
        return 0

    def grew(self, queue: str, by: int) -> None:
        pass

    def tell(self, ended: Sequence[Ended]) -> None:
        pass

    def close(self) -> None:
        pass


class _NoNews:
    """Takes the place of live news. Whoever waits for a job has it carried out."""

    def __init__(self, bed: TestBed) -> None:
        self._bed = bed

    def announce(self, changes: Sequence[Ended]) -> None:
        pass

    def ask_cancel(self, output_ids: Sequence[int]) -> None:
        pass

    def tell(self, job_id: str, event: str, data: dict[str, Any]) -> None:
        pass

    def listened(self, job_id: str) -> bool:
        return False

    def wait_ended(self, job_ids: Sequence[str], timeout_seconds: float) -> None:
        with self._bed.runtime.database.read() as session:
            waiting = select(LLMOutput.id).where(
                LLMOutput.job_id.in_(job_ids), LLMOutput.status == Status.PENDING
            )
            output_ids = session.scalars(waiting).all()
        for output_id in output_ids:
            self._bed.perform(output_id)

    def close(self) -> None:
        pass


def _settings(database_file: Path) -> Settings:
    """The environment's settings (aliases, endpoints, …), but nothing that could be reached: every
    usual vendor is configured, with a key that nothing is ever sent with.
    """
    values: dict[str, Any] = {
        "DATABASE_URL": f"sqlite:///{database_file}",
        "OPENAI_API_KEY": "for-tests",
        "ANTHROPIC_API_KEY": "for-tests",
        "LLM_JOBS_SIMULATOR_URL": "http://127.0.0.1:9",
        "LLM_JOBS_SIMULATE_MISSING": True,
    }
    return Settings(**values)


def _asks_a_model(row: LLMOutput) -> bool:
    """A definition that only suggests, or whose condition is empty, asks nobody."""
    if row.script is None or is_chat(row.script):
        return True
    return any(step.messages for step in script_from(row.script).definition.steps)


def _user_id(user: Any) -> int:
    if user is None:
        return 1
    found = user if isinstance(user, int) else getattr(user, "user_id", None) or user.id
    if not isinstance(found, int):
        raise TypeError(f"expected a user or its id, not {type(user).__name__}")
    return found
