"""Outputs: the list, one of them, and erasing one."""

from __future__ import annotations

from api.auth import scope
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Header, Routes
from api.schemas.common import Empty
from api.schemas.outputs import Output, OutputList, OutputsQuery
from api.v1.rows import shown_row
from app import jobs
from app.jobs import Filters
from models import Scope

routes = Routes("/api/v1", tag="outputs")


@routes.get(
    "/llm_outputs",
    access=scope(Scope.JOBS_READ),
    query=OutputsQuery,
    answers={
        200: Answer(
            description="A page of rows.",
            model=OutputList,
            headers={"Link": "`rel=next`: the next page, if there is one."},
        )
    },
)
def list_outputs(call: Call[Empty, OutputsQuery]) -> Reply:
    """List one's own outputs, newest first."""
    filters = Filters(**call.query.model_dump(exclude={"limit", "after"}))
    with call.runtime.database.read() as session:
        page = jobs.list_outputs(
            session, call.caller, filters, limit=call.query.limit, after=call.query.after
        )
        return page_reply(page, lambda rows: jobs.describe_many(session, rows))


@routes.get(
    "/llm_outputs/<row:output_id>",
    access=scope(Scope.JOBS_READ),
    request_headers=[Header(name="If-None-Match", description="The ETag of an earlier answer.")],
    answers={
        200: Answer(description="The whole row.", model=Output, headers={"ETag": "Its version."}),
        304: Answer(description="Not modified since that ETag."),
    },
)
def get_output(call: Call[Empty, Empty], output_id: int) -> Reply:
    """Show an output: its row with attempts, lineage, usage and cost."""
    return Reply(body=shown_row(call, output_id=output_id), cacheable=True)


@routes.delete(
    "/llm_outputs/<row:output_id>",
    access=scope(Scope.JOBS_WRITE),
    answers={204: Answer(description="Its texts are gone; its ledger stays.")},
    errors={409: "The job has not ended."},
)
def erase_output(call: Call[Empty, Empty], output_id: int) -> Reply:
    """Erase an ended output's texts for good.

    What it used and cost, and when, is kept.
    """
    with call.runtime.database.write() as session:
        jobs.erase(session, call.caller, output_id)
    return Reply(status=204)
