"""Which models can be asked for, and what they cost today."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from api.auth import ANY_KEY
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.operations import ModelList, ModelPrice
from app.prices import all_prices
from app.providers import pricing
from app.providers.registry import KnownModel, known_models
from models import Price

routes = Routes("/api/v1", tag="models")


@routes.get(
    "/models",
    access=ANY_KEY,
    answers={200: Answer(description="The models.", model=ModelList)},
)
def list_models(call: Call[Empty, Empty]) -> Reply:
    """List models worth asking for, with today's prices.

    A registered endpoint serves what it likes and is listed as `<endpoint>/*`. The list is
    short, so it is given whole.
    """
    with call.runtime.database.read() as session:
        prices = all_prices(session)
    known = known_models(call.runtime.settings)
    return Reply(body={"data": [_shown(m, prices) for m in known], "has_more": False, "next": None})


def _shown(model: KnownModel, prices: Sequence[Price]) -> dict[str, Any]:
    bare = model.name.removeprefix(f"{model.provider}/")
    price = pricing.find(prices, model.provider, bare, datetime.now(UTC).date())
    names = ModelPrice.model_fields
    return {
        "name": model.name,
        "provider": model.provider,
        "configured": model.configured,
        "price": price and {name: getattr(price, name) for name in names},
    }
