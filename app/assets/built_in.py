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
from app.assets.registry import Asset, AssetRef, AssetType, Loaded, Part
from app.errors import LLMJobsError
from app.prompts import library
from app.prompts.notation import write_yaml
from models import LLMOutput, StoredAsset


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

    def load(self, session: Session, caller: Caller, asset: Asset) -> Loaded:
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
        told = write_yaml({name: value for name, value in facts.items() if value})
        return Loaded([Part(asset, told)])


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

    def load(self, session: Session, caller: Caller, asset: Asset) -> Loaded:
        definition = library.get(session, caller, asset.id).version.definition
        return Loaded([Part(asset, write_yaml(definition))])


@dataclass(frozen=True, slots=True)
class Stored:
    """Assets stored here; of any type, where there is no other part for it."""

    label: str

    def find(self, session: Session, caller: Caller, ref: AssetRef) -> Asset | None:
        number = _number(ref.id)
        row = storing.visible(session, caller, number) if number is not None else None
        if row is None or row.type != ref.type:
            return None
        return self._asset(row, may_edit=storing.may_edit(session, caller, row))

    def load(self, session: Session, caller: Caller, asset: Asset) -> Loaded:
        """Its content; of a dashboard also the metrics that its `metrics` names: numbers, or
        objects with an `id`.
        """
        content = storing.content_in(session, int(asset.id), asset.version or 1)
        parts, missing = [Part(asset, _told(content))], []
        named = content.get("metrics") if isinstance(content, dict) else None
        if asset.type == "dashboard_file" and isinstance(named, list):
            ids = [one.get("id") if isinstance(one, dict) else one for one in named]
            refs = [AssetRef("metric_file", str(one)) for one in dict.fromkeys(map(str, ids))]
            numbers = [number for ref in refs if (number := _number(ref.id)) is not None]
            found = storing.contents(session, caller, "metric_file", numbers[:MOST_METRICS])
            metric = Stored("Metric")
            parts += [Part(metric._asset(row), _told(its)) for row, its in found]
            seen = {part.asset.id for part in parts[1:]}
            missing = [ref for ref in refs if ref.id not in seen]
        return Loaded(parts, missing)

    def _asset(self, row: StoredAsset, *, may_edit: bool = False) -> Asset:
        return Asset(
            type=row.type,
            id=str(row.id),
            name=row.name,
            label=self.label,
            version=row.version,
            may_edit=may_edit,
        )


MOST_METRICS = 50
"""Of a dashboard; the rest is named as missing."""

TYPES: Mapping[str, AssetType] = {
    "llm_output": Outputs("llm_output", "Output", by_job=False),
    "llm_job": Outputs("llm_job", "Job", by_job=True),
    "prompt_template": Prompts(),
    "metric_file": Stored("Metric"),
    "dashboard_file": Stored("Dashboard"),
    "report_file": Stored("Report"),
}


def _told(content: Any) -> str:
    if isinstance(content, str):
        return content
    return json.dumps(content, indent=2, ensure_ascii=False)


def _number(id: str) -> int | None:
    return int(id) if id.isascii() and id.isdigit() and len(id) < 19 else None
