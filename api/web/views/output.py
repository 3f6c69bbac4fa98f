"""One output: what was asked, what came of it, how it went, and where it belongs.

The page is one address with `?tab=`; htmx and the page's script ask for the same address and get
its inner part. What one does with an output is in `output_acts.py`, its event stream and files in
`output_files.py`, comparing in `compare.py`; the form of its items is `items.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from api.web import api_calls, item_fields, prompt_addresses, reasons, render, timeline
from api.web.json_tree import tree
from api.web.masks import masked
from api.web.pages import Pages
from api.web.prompt_parts import prompt_of
from api.web.visit import Visit
from app import jobs
from app.accounts import Caller, caller_of
from app.context.files import ReadFile
from app.errors import NotFound
from app.jobs.compare import ID, compared_with
from app.jobs.files import files_of
from app.jobs.items import Review
from app.jobs.lineage import Family, lineage
from app.jobs.sentences import explain
from app.moments import iso
from app.prompts import library
from app.prompts.definition import from_json
from app.retry import RetryPolicy
from models import ENDED, LLMOutput, Status, User

pages = Pages()

LONGEST_SHOWN = 200_000
"""Characters of an answer a page shows; the download has all of it."""

LONGEST_FILE = 20_000
"""Characters of a file's text a page shows."""

TABS = {
    "result": "Result",
    "items": "Items",
    "raw": "Raw response",
    "prompt": "Prompt",
    "definition": "Definition",
    "context": "Context",
    "attempts": "Attempts",
    "lineage": "Lineage",
    "trace": "Trace",
}


@dataclass(frozen=True, slots=True)
class Read:
    """What one transaction read of an output. `row` is as clients see it."""

    row: dict[str, Any]
    woken_at: str | None
    owner: str
    family: Family | None
    compared_ids: tuple[int, ...] = ()
    """The outputs of the comparison of models it was submitted with, its own among them."""
    prompt_page: str = ""
    """Where the stored prompt's page is, of a job that ran one that is still there."""
    models: tuple[str, ...] = ()
    """The model of each step of its definition."""
    files: tuple[ReadFile, ...] = ()
    reviews: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file with the beginning of its text."""

    name: str
    media_type: str
    size: int
    characters: int
    text: str


@pages.get("/llm_outputs/<row:output_id>")
def output(visit: Visit, output_id: int) -> Response:
    """The output's page, or its inner part."""
    return whole_page(visit, output_id)


@pages.get("/tasks/<job:job_id>")
def task(visit: Visit, job_id: str) -> Response:
    """Where Flower's page of a task leads: the output of that job."""
    with visit.runtime.database.read() as session:
        return visit.go(address_of(jobs.get(session, visit.caller, job_id=job_id).id))


def whole_page(
    visit: Visit, output_id: int, *, tab: str = "", status: int = 200, said: str = "", **facts: Any
) -> Response:
    """The page of an output with this tab, else with the one the address names. `facts` go over
    those of the tab. Raises NotFound for a stranger's.
    """
    tab = tab or visit.query.get("tab", "")
    found = read(visit, output_id, tab=tab)
    tabs = tabs_of(found.row)
    tab = tab if tab in tabs else "result"
    facts = {
        "row": found.row,
        "tab": tab,
        "tabs": tabs,
        "said": said,
        "owner": found.owner,
        "prompt_page": found.prompt_page,
        "side_by_side": _side_by_side(found),
        **_standing(visit, found.row),
        **opinion_of(found.row),
        **_TAB_FACTS[tab](visit, found),
        **facts,
    }
    if visit.wants_fragment:
        return visit.fragment("output/body.html", status=status, **facts)
    calls = api_calls.of_output(visit.base_url, output_id)
    return visit.page("output/page.html", status=status, calls=calls, **facts)


def tabs_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The parts this output has, with their titles."""
    there = {
        "items": bool(row["result_items"] or row["review"]),
        "definition": row["definition"] is not None,
    }
    return {name: title for name, title in TABS.items() if there.get(name, True)}


def read(visit: Visit, output_id: int, *, tab: str = "") -> Read:
    """The row, whose it is, and what else a tab shows of it. Raises NotFound."""
    with visit.runtime.database.read() as session:
        output = jobs.get(session, visit.caller, output_id=output_id)
        owner = session.get(User, output.user_id) if output.user_id else None
        return Read(
            jobs.describe(session, output),
            iso(output.woken_at),
            (owner.name or owner.email) if owner else "nobody",
            lineage(session, visit.caller, output) if tab == "lineage" else None,
            compared_with(session, visit.caller, output),
            _prompt_page(session, visit.caller, output, owner),
            tuple((output.script or {}).get("models", ())),
            files_of(session, output) if tab == "definition" else (),
            tuple(jobs.reviews_of(session, output)) if tab == "items" else (),
        )


def address_of(output_id: int, **arguments: Any) -> str:
    """Where an output's page is."""
    return render.address("output", output_id=output_id, **arguments)


def opinion_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the feedback card needs besides the row."""
    return {
        "opinion": reasons.taken_apart(row["feedback_comment"]),
        "offered": reasons.FOR.get(row["feedback"], ()),
    }


def _standing(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    """How the job stands: why it waits, what went wrong, how long it has been at it."""
    ended = row["status"] in ENDED
    begun = datetime.fromisoformat(row["created_at"])
    last = datetime.fromisoformat(row["finished_at"]) if row["finished_at"] else datetime.now(UTC)
    return {
        "ended": ended,
        "why": None if ended else jobs.why(visit.runtime, visit.caller, row["job_id"]),
        "explained": explain(row),
        "elapsed": max(0.0, (last - begun).total_seconds()),
        "flower": _flower(visit, row["job_id"]),
    }


def _prompt_page(session: Session, caller: Caller, output: LLMOutput, owner: User | None) -> str:
    """Where the prompt is that the job's owner means by its name; empty when he means none now."""
    if output.prompt_name is None or owner is None:
        return ""
    version = output.prompt_version
    reference = f"{output.prompt_name}@{version}" if version else output.prompt_name
    try:
        found = library.resolve(session, caller_of(owner), reference)
    except NotFound:
        return ""
    elsewhere = caller.is_admin and found.owner_id != caller.user_id
    return prompt_addresses.address_of(
        found.name, version=version, user_id=found.owner_id if elsewhere else None
    )


def _side_by_side(found: Read) -> str:
    if not found.compared_ids:
        return ""
    comparison, ids = found.row["metadata"][ID], ",".join(map(str, found.compared_ids))
    return render.address("side_by_side", comparison_id=comparison, ids=ids)


def _flower(visit: Visit, job_id: str) -> str:
    url = visit.runtime.settings.flower_url
    return f"{url.rstrip('/')}/task/{job_id}" if url and visit.caller.is_admin else ""


def _result(visit: Visit, found: Read) -> dict[str, Any]:
    row = found.row
    answer = row["raw_response"] or ""
    structured = row["format"] == "json" and row["parsed_output"] is not None
    return {
        "shown": answer[:LONGEST_SHOWN],
        "is_cut": len(answer) > LONGEST_SHOWN,
        "pretty": row["formatted_output"][:LONGEST_SHOWN],
        "parsed": tree(row["parsed_output"]) if structured else None,
        "images": visit.query.get("images") == "1",
        "has_images": any(mark in answer.lower() for mark in ("<img", "![")),
    }


def _items(visit: Visit, found: Read) -> dict[str, Any]:
    row = found.row
    fields = item_fields.opened(row)
    return {
        "fields": fields,
        "chats": item_fields.conversations(item_fields.current(row)),
        "new": item_fields.Field(),
        "may_correct": row["status"] == Status.COMPLETED and not row["erased_at"],
        "history": item_fields.history(row["result_items"] or {}, found.reviews),
        "refusal": None,
    }


def _raw(_visit: Visit, found: Read) -> dict[str, Any]:
    answer = found.row["raw_response"] or ""
    return {"shown": answer[:LONGEST_SHOWN], "is_cut": len(answer) > LONGEST_SHOWN}


def _prompt(_visit: Visit, found: Read) -> dict[str, Any]:
    return {"prompt": prompt_of(found.row)}


def _definition(_visit: Visit, found: Read) -> dict[str, Any]:
    return {
        "definition": from_json(found.row["definition"]),
        "models": found.models,
        "workitem": tree(masked(found.row["workitem"])) if found.row["workitem"] else None,
        "files": [
            ShownFile(
                file.name, file.media_type, file.size, len(file.text), file.text[:LONGEST_FILE]
            )
            for file in found.files
        ],
        "longest_file": LONGEST_FILE,
    }


def _context(_visit: Visit, found: Read) -> dict[str, Any]:
    shown = {"Context": found.row["context"], "Options": found.row["options"]}
    shown |= {"Metadata": found.row["metadata"], "Context fetchers": found.row["fetchers"]}
    shown |= {"Response schema": found.row["response_schema"]}
    return {"values": {name: tree(masked(value)) for name, value in shown.items() if value}}


def _attempts(visit: Visit, found: Read) -> dict[str, Any]:
    settings = visit.runtime.settings
    policy = RetryPolicy(settings.retry_base_seconds, settings.retry_max_seconds)
    return {"steps": timeline.steps(found.row, policy, woken_at=found.woken_at)}


def _lineage(_visit: Visit, found: Read) -> dict[str, Any]:
    return {"family": found.family}


def _trace(_visit: Visit, found: Read) -> dict[str, Any]:
    parts = (found.row["traceparent"] or "").split("-")
    return {"trace_id": parts[1] if len(parts) == 4 else ""}


_TAB_FACTS: Mapping[str, Callable[[Visit, Read], dict[str, Any]]] = {
    "result": _result,
    "items": _items,
    "raw": _raw,
    "prompt": _prompt,
    "definition": _definition,
    "context": _context,
    "attempts": _attempts,
    "lineage": _lineage,
    "trace": _trace,
}
