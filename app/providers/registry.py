"""Which provider serves a model, and the one client per process and key that serves it.

`resolve` is asked at submit by processes that never call a model, so it imports no SDK and makes
no network call but one: Ollama's own list of models, read at most once a minute. Vendors enter by
`app.plugins`; registered endpoints come from the settings or from a source set at the start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from app.errors import UnsupportedModel
from app.plugins import registry
from app.providers.contract import Provider
from app.settings import Endpoint, Settings

SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a job's model is served.

    `model` is the provider's own name for it. `bucket` names (provider, model, key) for limits and
    pauses; of the key it carries 8 hex digits of its SHA-256. `warning` is a sentence for the
    answer.
    """

    provider: str
    model: str
    bucket: str
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Vendor:
    """One provider as the registry knows it; what a plugin adds to `registry.providers`.

    `claims` says whether a bare model name looks like this vendor's (`<name>/<model>` always is
    its); a vendor whose names cannot be told by their looks also says with `lists` whether it has
    one, and is asked after all others. `secret` gives what calls are signed with ("" when nothing
    is needed), or None while the vendor cannot be used; `hint` says what to do then, or about a
    claimed name that is not listed. `build` makes the adapter and may import its SDK. `models`
    gives names worth offering.
    """

    name: str
    claims: Callable[[str], bool]
    secret: Callable[[Settings], str | None]
    build: Callable[[Settings], Provider]
    hint: str = ""
    lists: Callable[[str, Settings], bool] | None = None
    models: Callable[[Settings], tuple[str, ...]] = lambda settings: ()


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model one can name in a job. `configured` is False while its vendor cannot be used."""

    name: str
    provider: str
    configured: bool


EndpointSource = Callable[[], Mapping[str, Endpoint]]
"""Gives the endpoints administrators have registered, by name."""

_stored_endpoints: EndpointSource = dict


def set_endpoint_source(source: EndpointSource) -> None:
    """Ask `source` for endpoints the settings do not name. It is asked for each such route, so it
    should be cheap; its endpoints may use https and public addresses only.
    """
    global _stored_endpoints
    _stored_endpoints = source


def resolve(model: str, settings: Settings) -> Route:
    """The route of the model a job asks for, after aliases (one step).

    Raises UnsupportedModel, naming what to set where that would help.
    """
    return _Routing(model, settings.model_aliases.get(model, model), settings).route()


def known_models(settings: Settings) -> list[KnownModel]:
    """What one can name in a job: aliases, then each vendor's models. No network call but
    Ollama's list. Endpoints serve what they like: they are listed as `<endpoint>/*`.
    """
    known = [
        KnownModel(alias, route.provider, True)
        for alias in settings.model_aliases
        if (route := _try(alias, settings))
    ]
    for vendor in registry().providers:
        usable = vendor.secret(settings) is not None
        known += [KnownModel(name, vendor.name, usable) for name in vendor.models(settings)]
    known += [KnownModel(f"{name}/*", name, True) for name in _endpoints(settings)]
    return known


class Providers:
    """The adapters of one process, each made on first use and kept.

    Used from one event loop. A fork starts without adapters: connections cannot be shared.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[tuple[str, str], Provider] = {}
        self._process = os.getpid()

    def get(self, route: Route) -> Provider:
        """The adapter for `route`. Raises UnsupportedModel if its provider is gone since."""
        if self._process != os.getpid():
            self._made, self._process = {}, os.getpid()
        key = route.provider, route.bucket.rpartition(":")[2]
        if key not in self._made:
            self._made[key] = self._build(route)
        return self._made[key]

    async def close(self) -> None:
        """Close every adapter made by this process."""
        made, self._made = self._made, {}
        for provider in made.values():
            await provider.close()

    def _build(self, route: Route) -> Provider:
        vendor: Vendor | None = registry().providers.get(route.provider)
        if vendor is not None:
            return vendor.build(self._settings)
        endpoint = _endpoints(self._settings).get(route.provider)
        if endpoint is None:
            raise UnsupportedModel(f"{route.provider}/{route.model}")
        from app.providers.vendors import build_endpoint

        trusted = route.provider in self._settings.endpoints
        return build_endpoint(route.provider, endpoint, trusted=trusted)


@dataclass(frozen=True, slots=True)
class _Routing:
    """One question: `asked` is the job's word, `name` what it stands for."""

    asked: str
    name: str
    settings: Settings

    def route(self) -> Route:
        prefix, _, rest = self.name.partition("/")
        if not rest:
            return self._bare()
        if vendor := registry().providers.get(prefix):
            if self.settings.simulate_missing and self._is_lacking(vendor, rest):
                return self._simulated(vendor.hint)
            return self._of(vendor, rest)
        if endpoint := _endpoints(self.settings).get(prefix):
            return _to(prefix, rest, secret=_endpoint_secret(endpoint))
        raise self._unsupported()

    def _bare(self) -> Route:
        vendors: list[Vendor] = list(registry().providers)
        claiming = next((vendor for vendor in vendors if vendor.claims(self.name)), None)
        if claiming is not None:
            if self._is_lacking(claiming, self.name):
                return self._simulated(claiming.hint)
            return self._of(claiming, self.name)
        for vendor in vendors:
            if vendor.lists and vendor.lists(self.name, self.settings):
                return self._of(vendor, self.name)
        raise self._unsupported()

    def _is_lacking(self, vendor: Vendor, model: str) -> bool:
        return vendor.lists is not None and not vendor.lists(model, self.settings)

    def _of(self, vendor: Vendor, model: str) -> Route:
        secret = vendor.secret(self.settings)
        if secret is not None:
            return _to(vendor.name, model, secret=secret)
        if vendor.name == SIMULATOR:
            raise self._unsupported(vendor.hint)
        return self._simulated(vendor.hint)

    def _simulated(self, hint: str) -> Route:
        """The simulator instead of a vendor that cannot answer, where that is allowed."""
        if not (self.settings.simulate_missing and self.settings.simulator_url):
            raise self._unsupported(hint)
        warning = f"The simulator answered for {self.asked}: {hint} for the real model."
        return _to(SIMULATOR, self.name, secret="", warning=warning)

    def _unsupported(self, hint: str = "") -> UnsupportedModel:
        if self.name != self.asked:
            hint = f"alias of {self.name}; {hint}" if hint else f"alias of {self.name}"
        return UnsupportedModel(self.asked, hint)


def _to(provider: str, model: str, *, secret: str, warning: str | None = None) -> Route:
    digest = sha256(secret.encode()).hexdigest()[:8]
    return Route(provider, model, f"{provider}:{model}:{digest}", warning)


def _try(model: str, settings: Settings) -> Route | None:
    try:
        return resolve(model, settings)
    except UnsupportedModel:
        return None


def _endpoints(settings: Settings) -> Mapping[str, Endpoint]:
    return {**_stored_endpoints(), **settings.endpoints}


def _endpoint_secret(endpoint: Endpoint) -> str:
    """All that makes a client for it, so that a changed key or address gets a new one."""
    secrets = (endpoint.api_key, endpoint.password)
    parts = [endpoint.model_dump_json(), *(s.get_secret_value() if s else "" for s in secrets)]
    return "\n".join(parts)
