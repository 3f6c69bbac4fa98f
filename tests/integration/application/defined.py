"""Jobs of prompt definitions carried out on the spot: a model that says one thing after the other,
and definitions as tests write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import jobs
from app.accounts import Caller
from app.errors import CallError
from app.jobs import JobRequest
from app.prompts import library
from app.prompts.definition import Definition, from_json
from app.providers.contract import Answer, Call, OnText, Stop
from app.testing import StubModel, TestBed
from models import Attempt, LLMOutput

IMIXS = Path(__file__).parents[2] / "data" / "imixs"


def imixs(name: str) -> str:
    """One of the seed's documents, as it stands."""
    return (IMIXS / name).read_text(encoding="utf-8")


def ask(content: str, role: str = "user", **step: Any) -> dict[str, Any]:
    """A step of one message."""
    return {"messages": [{"role": role, "content": content}], **step}


def defined(*steps: Mapping[str, Any], **more: Any) -> Definition:
    """A definition of these steps; without a model of its own, any."""
    return from_json({"steps": [{"model": "gpt-4", **step} for step in steps], **more})


class Says(StubModel):
    """Gives each of the answers in turn; the last again and again. An error is raised."""

    def __init__(self, *answers: str | CallError) -> None:
        super().__init__()
        self.told = True
        self._answers = answers

    async def call(self, call: Call, *, on_text: OnText | None = None) -> Answer:
        self.calls.append(call)
        said = self._answers[min(len(self.calls), len(self._answers)) - 1]
        if isinstance(said, CallError):
            raise said
        return Answer(text=said, stop=Stop.DONE, usage=None, model=call.model)

    @property
    def asked(self) -> list[list[tuple[str, str]]]:
        """The messages of each call."""
        return [[(m.role, m.content) for m in call.messages] for call in self.calls]


class Desk:
    """One caller's jobs on a bed."""

    def __init__(self, bed: TestBed) -> None:
        self.bed = bed
        self.caller: Caller = bed.user()

    def says(self, *answers: str | CallError) -> Says:
        """What the model says from now on."""
        model = Says(*answers)
        self.bed.model = model
        return model

    def submit(self, **fields: Any) -> int:
        return jobs.submit(self.bed.runtime, self.caller, JobRequest(**fields)).output_id

    def done(self, *steps: Mapping[str, Any], **fields: Any) -> LLMOutput:
        """The row of a job of these steps, carried out."""
        if steps:
            fields["definition"] = defined(*steps)
        return self.bed.perform(self.submit(**fields))

    def attempts(self, row: LLMOutput) -> list[Attempt]:
        with self.bed.runtime.database.read() as session:
            found = session.query(Attempt).filter_by(output_id=row.id).order_by(Attempt.number)
            return list(found)

    def store(self, *definitions: Definition, caller: Caller | None = None, **how: Any) -> None:
        with self.bed.runtime.database.write() as session:
            library.store(session, caller or self.caller, definitions, **how)
