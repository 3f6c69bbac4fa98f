"""Endpoints by name: those administrators registered, and the one a definition's word means.

    registered.py   list, register, change, remove; each act is recorded
    source.py       what a process knows of them while it routes jobs
    matching.py     a definition's `<endpoint>`, and the model to route by

What an endpoint is, and those of the settings: `app.endpoint_settings`. How a job comes to its
provider: `app.providers.registry`.
"""

from app.endpoints.matching import DEFAULT_MODEL, EndpointRoute, match_endpoint, route_of_endpoint
from app.endpoints.registered import (
    ShownEndpoint,
    change_endpoint,
    create_endpoint,
    get_endpoint,
    list_endpoints,
    remove_endpoint,
)
from app.endpoints.source import endpoint_source

__all__ = [
    "DEFAULT_MODEL",
    "EndpointRoute",
    "ShownEndpoint",
    "change_endpoint",
    "create_endpoint",
    "endpoint_source",
    "get_endpoint",
    "list_endpoints",
    "match_endpoint",
    "remove_endpoint",
    "route_of_endpoint",
]
