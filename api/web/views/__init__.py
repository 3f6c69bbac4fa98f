"""The pages, a room each: what is shown and which forms they take."""

from __future__ import annotations

from api.web.pages import Pages
from api.web.views import account, outputs

ROOMS: tuple[Pages, ...] = (account.pages, outputs.pages)
