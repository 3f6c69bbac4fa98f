"""Dated prices, by administrators: what a model costs from a day on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.auth import ADMINISTRATOR
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.operations import PriceBody, PriceList, PriceShown, PricesQuery
from app import prices
from models import Price

routes = Routes("/api/v1", tag="models")


@routes.get(
    "/prices",
    access=ADMINISTRATOR,
    query=PricesQuery,
    answers={200: Answer(description="A page of prices.", model=PriceList)},
)
def list_prices(call: Call[Empty, PricesQuery]) -> Reply:
    """List dated prices, the latest entered first."""
    with call.runtime.database.read() as session:
        return page_reply(prices.list_prices(session, **call.query.model_dump()), _all_shown)


@routes.post(
    "/prices",
    access=ADMINISTRATOR,
    body=PriceBody,
    answers={201: Answer(description="The price holds from its day on.", model=PriceShown)},
)
def create_price(call: Call[PriceBody, Empty]) -> Reply:
    """Enter what a model costs from a day on, in US dollars per million tokens.

    `model` may end in `*`. What was computed with an older price stays as it is.
    """
    with call.runtime.database.write() as session:
        price = prices.set_price(session, call.caller, **call.body.model_dump())
        return Reply(body=_shown(price), status=201)


def _shown(price: Price) -> dict[str, Any]:
    return {name: getattr(price, name) for name in PriceShown.model_fields}


def _all_shown(rows: Sequence[Price]) -> list[dict[str, Any]]:
    return [_shown(price) for price in rows]
