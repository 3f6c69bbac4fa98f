"""One output: what was asked, what came of it, how it went, and where it belongs.

The page is one address with `?tab=`; htmx and the page's script ask for the same address and get
its inner part. What one does with an output is in `output_acts.py`, its event stream and files in
`output_files.py`, comparing in `compare.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Response

from api.web import api_calls, reasons, render, timeline
from api.web.json_tree import tree
from api.web.masks import masked
from api.web.pages import Pages
from api.web.prompt_parts import prompt_of
from api.web.visit import Visit
from app import jobs
from app.jobs.compare import ID, compared_with
from app.jobs.lineage import Family, lineage
from app.jobs.sentences import explain
from app.moments import iso
from app.retry import RetryPolicy
from models import ENDED, User

pages = Pages()

LONGEST_SHOWN = 200_000
"""Characters of an answer a page shows; the download has all of it."""

TABS = {
    "result": "Result",
    "raw": "Raw response",
    "prompt": "Prompt",
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


@pages.get("/llm_outputs/<row:output_id>")
def output(visit: Visit, output_id: int) -> Response:
    """The output's page, or its inner part."""
    return whole_page(visit, output_id)


@pages.get("/tasks/<job:job_id>")
def task(visit: Visit, job_id: str) -> Response:
    """Where Flower's page of a task leads: the output of that job."""
    with visit.runtime.database.read() as session:
        return visit.go(address_of(jobs.get(session, visit.caller, job_id=job_id).id))


def whole_page(visit: Visit, output_id: int, *, said: str = "") -> Response:
    """The page of an output with the tab the address names. Raises NotFound for a stranger's."""
    tab = visit.query.get("tab", "")
    tab = tab if tab in TABS else "result"
    found = read(visit, output_id, with_family=tab == "lineage")
    facts = {
        "row": found.row,
        "tab": tab,
        "tabs": TABS,
        "said": said,
        "owner": found.owner,
        "side_by_side": _side_by_side(found),
        **_standing(visit, found.row),
        **opinion_of(found.row),
        **_TAB_FACTS[tab](visit, found),
    }
    if visit.wants_fragment:
        return visit.fragment("output/body.html", **facts)
    calls = api_calls.of_output(visit.base_url, output_id)
    return visit.page("output/page.html", calls=calls, **facts)


def read(visit: Visit, output_id: int, *, with_family: bool = False) -> Read:
    """The row, whose it is, and its family where that is wanted. Raises NotFound."""
    with visit.runtime.database.read() as session:
        output = jobs.get(session, visit.caller, output_id=output_id)
        owner = session.get(User, output.user_id) if output.user_id else None
        return Read(
            jobs.describe(session, output),
            iso(output.woken_at),
            (owner.name or owner.email) if owner else "nobody",
            lineage(session, visit.caller, output) if with_family else None,
            compared_with(session, visit.caller, output),
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
        "items": tree(row["result_items"]) if row["result_items"] else None,
        "images": visit.query.get("images") == "1",
        "has_images": any(mark in answer.lower() for mark in ("<img", "![")),
    }


def _raw(_visit: Visit, found: Read) -> dict[str, Any]:
    answer = found.row["raw_response"] or ""
    return {"shown": answer[:LONGEST_SHOWN], "is_cut": len(answer) > LONGEST_SHOWN}


def _prompt(_visit: Visit, found: Read) -> dict[str, Any]:
    return {"prompt": prompt_of(found.row)}


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
    "raw": _raw,
    "prompt": _prompt,
    "context": _context,
    "attempts": _attempts,
    "lineage": _lineage,
    "trace": _trace,
}
