"""The pages, a room each: what is shown and which forms they take."""

from __future__ import annotations

from api.web.pages import Pages
from api.web.views import (
    account,
    admin,
    compare,
    endpoints,
    keys,
    output,
    output_acts,
    output_files,
    outputs,
    outputs_live,
    outputs_many,
    providers,
    quality,
    queues,
    regenerate,
    saved_views,
    side_by_side,
    submit,
    users,
)

ROOMS: tuple[Pages, ...] = (
    account.pages,
    keys.pages,
    outputs.pages,
    outputs_live.pages,
    outputs_many.pages,
    saved_views.pages,
    output.pages,
    output_acts.pages,
    output_files.pages,
    compare.pages,
    regenerate.pages,
    submit.pages,
    side_by_side.pages,
    quality.pages,
    queues.pages,
    admin.pages,
    users.pages,
    providers.pages,
    endpoints.pages,
)
