"""The types of assets that come with the platform."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.accounts import Caller
from app.assets import storing
from app.assets.registry import Asset, AssetRef, AssetType
from app.errors import LLMJobsError
from app.prompts import library
from app.prompts.notation import write_yaml
from models import AssetVersion, LLMOutput


@dataclass(frozen=True, slots=True)
class Outputs:
    """Rows of jobs: by number as outputs, by `job_id` as jobs."""

    type: str
    label: str
    by_job: bool

    def find(self, session: Session, caller: Caller, ref: AssetRef) -> Asset | None:
        try:
            if self.by_job:
                row = jobs.get(session, caller, job_id=ref.id)
            elif (number := _number(ref.id)) is not None:
                row = jobs.get(session, caller, output_id=number)
            else:
                return None
        except LLMJobsError:
            return None
        return Asset(type=self.type, id=ref.id, name=f"{self.label} {row.id}", label=self.label)

    def content(self, session: Session, caller: Caller, asset: Asset) -> str:
        key = LLMOutput.job_id == asset.id if self.by_job else LLMOutput.id == int(asset.id)
        row = session.scalars(select(LLMOutput).where(key)).one()
        facts = {
            "model": row.model_name,
            "status": row.status,
            "template": row.template_name,
            "context": row.context,
            "prompt": row.prompt,
            "answer": row.raw_response,
            "error": row.error_message,
            "feedback": row.feedback_word,
        }
        return write_yaml({name: value for name, value in facts.items() if value})

    def related(self, session: Session, asset: Asset) -> list[AssetRef]:
        return []


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompt definitions, by name; `name@version` is that version."""

    label = "Prompt"

    def find(self, session: Session, caller: Caller, ref: AssetRef) -> Asset | None:
        try:
            found = library.get(session, caller, ref.id)
        except LLMJobsError:
            return None
        return Asset(
            type="prompt_template",
            id=ref.id,
            name=found.prompt.name,
            label=self.label,
            version=found.version.version,
            may_edit=library.may_change(caller, found.prompt),
        )

    def content(self, session: Session, caller: Caller, asset: Asset) -> str:
        return write_yaml(library.get(session, caller, asset.id).version.definition)

    def related(self, session: Session, asset: Asset) -> list[AssetRef]:
        return []


@dataclass(frozen=True, slots=True)
class Stored:
    """Assets stored here; of any type, where there is no other part for it."""

    label: str

    def find(self, session: Session, caller: Caller, ref: AssetRef) -> Asset | None:
        number = _number(ref.id)
        row = storing.visible(session, caller, number) if number is not None else None
        if row is None or row.type != ref.type:
            return None
        return Asset(
            type=row.type,
            id=str(row.id),
            name=row.name,
            label=self.label,
            version=row.version,
            may_edit=caller.sees(row.user_id),
        )

    def content(self, session: Session, caller: Caller, asset: Asset) -> str:
        content = _content(session, asset)
        return content if isinstance(content, str) else _json(content)

    def related(self, session: Session, asset: Asset) -> list[AssetRef]:
        """The metrics that a dashboard's content names in `metrics`: numbers, or objects with an
        `id`.
        """
        content = _content(session, asset)
        named = content.get("metrics") if isinstance(content, dict) else None
        if asset.type != "dashboard_file" or not isinstance(named, list):
            return []
        ids = [one.get("id") if isinstance(one, dict) else one for one in named]
        return [AssetRef("metric_file", str(one)) for one in dict.fromkeys(map(str, ids))]


TYPES: Mapping[str, AssetType] = {
    "llm_output": Outputs("llm_output", "Output", by_job=False),
    "llm_job": Outputs("llm_job", "Job", by_job=True),
    "prompt_template": Prompts(),
    "metric_file": Stored("Metric"),
    "dashboard_file": Stored("Dashboard"),
    "report_file": Stored("Report"),
}


def _content(session: Session, asset: Asset) -> Any:
    return session.get_one(AssetVersion, (int(asset.id), asset.version)).content


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _number(id: str) -> int | None:
    return int(id) if id.isascii() and id.isdigit() and len(id) < 19 else None
