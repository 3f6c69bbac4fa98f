"""The operations of `/api/v1`, one file per thing; each view calls `app` once."""

from api.v1 import (
    acting,
    agents,
    assets,
    audit,
    chats,
    documents,
    endpoints,
    items,
    jobs,
    keys,
    live,
    many,
    models,
    outputs,
    prices,
    prompt_versions,
    prompts,
    queues,
    users,
)

ROUTES = (
    jobs.routes,
    live.routes,
    outputs.routes,
    items.routes,
    acting.routes,
    many.routes,
    agents.routes,
    prompts.routes,
    prompt_versions.routes,
    chats.routes,
    assets.routes,
    documents.routes,
    users.routes,
    keys.routes,
    models.routes,
    endpoints.routes,
    prices.routes,
    queues.routes,
    audit.routes,
)
"""In the order of the document."""

__all__ = ["ROUTES"]
