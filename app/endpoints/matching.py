"""Which registered endpoint a definition means by its `<endpoint>`: a name, or an address.

A document never says where to call: its word is only compared with what is registered here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import AnyHttpUrl, ValidationError

from app.effective import without_credentials
from app.endpoint_settings import SERVICE, Endpoint, without_version
from app.errors import EndpointUnknown
from app.providers.registry import SIMULATOR, endpoint_named, endpoints
from app.settings import Settings
from app.text import clean_text

DEFAULT_MODEL = "default"
"""Asked for when nobody names a model: servers with only one take any name."""

LONGEST_ADDRESS = 2_048
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """What a job asks for to reach an endpoint. `warning` is a sentence for the answer."""

    model: str
    warning: str | None = None


def match_endpoint(settings: Settings, word: str | None) -> str | None:
    """The name of the registered endpoint that `word` means; None when it means none.

    A name is told without case. An address is equal whatever the case of its host, with or without
    its default port, a slash at its end, and `/v1` or `/v1/chat/completions`. No word at all is
    `llm-service`, where there is one. Raises Unavailable.
    """
    word = (word or "").strip()
    if not word:
        return SERVICE if SERVICE in settings.registered_endpoints else None
    found = _matching(endpoints(settings), word)
    return found or _matching(endpoints(settings, fresh=True), word)  # it may be a moment old


def route_of_endpoint(
    settings: Settings, word: str | None, model: str | None = None
) -> EndpointRoute:
    """What to route by for an endpoint and the model that is asked of it (None: its own).

    Where the simulator answers for what is missing it does so here. Raises EndpointUnknown, naming
    those that are registered, and Unavailable.
    """
    name = match_endpoint(settings, word)
    if name is None:
        return _without_endpoint(settings, (word or "").strip(), model)
    endpoint = endpoint_named(name, settings)
    own = endpoint.model if endpoint else None
    return EndpointRoute(f"{name}/{model or own or DEFAULT_MODEL}")


def _matching(known: Mapping[str, Endpoint], word: str) -> str | None:
    if word.lower() in known:
        return word.lower()
    address = _plain(word)
    if address is None:
        return None
    found = [name for name, one in known.items() if _plain(str(one.base_url)) == address]
    return SERVICE if SERVICE in found else next(iter(found), None)


def _plain(word: str) -> str | None:
    """An address as all that mean the same are written; None when it is none we would call."""
    if len(word) > LONGEST_ADDRESS or "://" not in word:
        return None
    try:
        url = AnyHttpUrl(word)
    except ValidationError:
        return None
    if url.username or url.password or url.fragment is not None:
        return None
    query = "" if url.query is None else f"?{url.query}"
    return f"{url.scheme}://{url.host}:{url.port}{without_version(url.path or '')}{query}"


def _without_endpoint(settings: Settings, word: str, model: str | None) -> EndpointRoute:
    """The simulator in place of an endpoint that is not registered, where that is allowed."""
    shown = clean_text(without_credentials(word[:LONGEST_ADDRESS]))[:_LONGEST_SHOWN]
    if settings.simulate_missing and settings.simulator_url:
        warning = (
            f"The simulator answered for endpoint {shown}: register it for the real model."
            if shown
            else "The simulator answered: set LLM_SERVICE_ENDPOINT for the real model."
        )
        return EndpointRoute(f"{SIMULATOR}/{model or DEFAULT_MODEL}", warning)
    registered = ", ".join(endpoints(settings)) or "none"
    if shown:
        raise EndpointUnknown(f"Unknown endpoint: {shown}. Registered: {registered}")
    raise EndpointUnknown(
        f"No endpoint is named, and LLM_SERVICE_ENDPOINT is not set. Registered: {registered}"
    )
