"""Result items of an output: corrected and confirmed by people, and help for the form they use."""

from __future__ import annotations

from dataclasses import asdict

from api.auth import scope
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.outputs import ItemsBody, Output, Suggested, SuggestQuery
from app import jobs
from models import Scope

routes = Routes("/api/v1", tag="outputs")


@routes.put(
    "/llm_outputs/<row:output_id>/items",
    access=scope(Scope.JOBS_WRITE),
    body=ItemsBody,
    answers={200: Answer(description="The row; `review` holds the items.", model=Output)},
    errors={409: "The output is not completed, or was erased."},
    examples={"one": {"items": {"invoice.total": [4100.0]}, "confirmed": True}},
)
def review_items(call: Call[ItemsBody, Empty], output_id: int) -> Reply:
    """Correct or confirm an output's result items.

    The model's own stay in `result_items`; what people left is kept beside them with author and
    time, and the newest counts.
    """
    with call.runtime.database.write() as session:
        output = jobs.review_items(
            session,
            call.caller,
            output_id,
            items=call.body.items,
            confirmed=call.body.confirmed,
        )
        return Reply(body=jobs.describe(session, output))


@routes.get(
    "/llm_outputs/<row:output_id>/suggestions",
    access=scope(Scope.JOBS_READ),
    query=SuggestQuery,
    answers={200: Answer(description="What goes on from `q`.", model=Suggested)},
)
def suggest_words(call: Call[Empty, SuggestQuery], output_id: int) -> Reply:
    """Suggest words of a job's files for a form that corrects its items.

    At most 12, each up to 64 characters; `mode` and `items` are what the prompt's SUGGEST block
    says about the form.
    """
    with call.runtime.database.read() as session:
        found = jobs.suggest(session, call.caller, output_id, call.query.q)
    return Reply(body=asdict(found))
