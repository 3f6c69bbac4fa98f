"""Endpoints, by administrators: OpenAI-compatible servers that jobs and definitions may name."""

from __future__ import annotations

from typing import Any

from api.auth import ADMINISTRATOR
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.endpoints import EndpointBody, EndpointChange, EndpointList, EndpointShown
from app import endpoints
from app.endpoints import ShownEndpoint

routes = Routes("/api/v1", tag="models")

_SET_ELSEWHERE = {404: "There is no such endpoint.", 409: "It is set in the settings."}


@routes.get(
    "/endpoints",
    access=ADMINISTRATOR,
    answers={200: Answer(description="The endpoints.", model=EndpointList)},
)
def list_endpoints(call: Call[Empty, Empty]) -> Reply:
    """List endpoints, those of the settings first.

    The list is short, so it is given whole.
    """
    settings = call.runtime.settings
    with call.runtime.database.read() as session:
        found = endpoints.list_endpoints(session, call.caller, settings=settings)
    return Reply(body={"data": [_shown(one) for one in found], "has_more": False, "next": None})


@routes.post(
    "/endpoints",
    access=ADMINISTRATOR,
    body=EndpointBody,
    answers={201: Answer(description="Jobs may ask for its models.", model=EndpointShown)},
    errors={409: "The name is taken."},
)
def create_endpoint(call: Call[EndpointBody, Empty]) -> Reply:
    """Register an endpoint.

    Jobs ask for its models as `<name>/<model>`; a definition's `<endpoint>` is its name or address.
    """
    settings = call.runtime.settings
    with call.runtime.database.write() as session:
        made = endpoints.create_endpoint(
            session, call.caller, settings=settings, **call.body.model_dump()
        )
    return Reply(body=_shown(made), status=201)


@routes.patch(
    "/endpoints/<endpoint>",
    access=ADMINISTRATOR,
    body=EndpointChange,
    answers={200: Answer(description="The endpoint as it is now.", model=EndpointShown)},
    errors=_SET_ELSEWHERE,
)
def update_endpoint(call: Call[EndpointChange, Empty], endpoint: str) -> Reply:
    """Change an endpoint; every process knows within seconds."""
    changes = call.body.model_dump(exclude_unset=True)
    settings = call.runtime.settings
    with call.runtime.database.write() as session:
        changed = endpoints.change_endpoint(
            session, call.caller, settings=settings, name=endpoint, **changes
        )
    return Reply(body=_shown(changed))


@routes.delete(
    "/endpoints/<endpoint>",
    access=ADMINISTRATOR,
    answers={204: Answer(description="It is gone; jobs that ask for it fail.")},
    errors=_SET_ELSEWHERE,
)
def remove_endpoint(call: Call[Empty, Empty], endpoint: str) -> Reply:
    """Remove an endpoint."""
    settings = call.runtime.settings
    with call.runtime.database.write() as session:
        endpoints.remove_endpoint(session, call.caller, settings=settings, name=endpoint)
    return Reply(status=204)


def _shown(endpoint: ShownEndpoint) -> dict[str, Any]:
    return {name: getattr(endpoint, name) for name in EndpointShown.model_fields}
