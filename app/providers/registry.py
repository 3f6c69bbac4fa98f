"""Which provider serves a model, and the one client per process and key that serves it.

`resolve` is asked at submit by processes that never call a model, so it imports no SDK and makes
no network call but one: Ollama's own list of models, read at most once a minute. Vendors enter by
`app.plugins`; registered endpoints come from the settings, or from a source set at the start for
the database those settings name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from app.endpoint_settings import Endpoint
from app.errors import UnsupportedModel
from app.plugins import registry
from app.providers.contract import Provider
from app.settings import Settings

SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a job's model is served.

    `model` is the provider's own name for it. `bucket` names (provider, model, key) for limits and
    pauses; of the key it carries 8 hex digits of its SHA-256. `warning` is a sentence for the
    answer, `timeout_seconds` the endpoint's own bound of a call.
    """

    provider: str
    model: str
    bucket: str
    warning: str | None = None
    timeout_seconds: float | None = None


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


class StoredEndpoint(Endpoint):
    """One that an administrator registered: called by https and at public addresses only.

    `unset` are the environment variables it wants and this process does not have.
    """

    unset: tuple[str, ...] = ()


class EndpointSource(Protocol):
    """The endpoints administrators have registered in one database."""

    def __call__(self, *, fresh: bool = False) -> Mapping[str, StoredEndpoint]:
        """All of them by name: as they were a moment ago, or with `fresh` as they are now.

        Asked for each route, so the former should be cheap. Raises Unavailable.
        """
        ...

    def forget(self) -> None:
        """What is known is old: read it anew when asked next."""
        ...


_sources: dict[str, EndpointSource] = {}


def set_endpoint_source(database_url: str, source: EndpointSource) -> None:
    """Ask `source` for the endpoints that settings with this database do not name themselves."""
    _sources[database_url] = source


def drop_endpoint_source(source: EndpointSource) -> None:
    """Ask it no longer; another that has taken its place since stays."""
    for url in [url for url, one in _sources.items() if one is source]:
        del _sources[url]


def endpoints(settings: Settings, *, fresh: bool = False) -> Mapping[str, Endpoint]:
    """Every registered endpoint by name; the settings' own first, which no stored one hides."""
    own = {name: one.endpoint for name, one in settings.registered_endpoints.items()}
    source = _sources.get(settings.database_url)
    stored = source(fresh=fresh) if source else {}
    return own | {name: one for name, one in stored.items() if name not in own}


def endpoint_named(name: str, settings: Settings) -> Endpoint | None:
    """One of them. One that is not known is asked for again: it may just have been registered."""
    if found := settings.registered_endpoints.get(name):
        return found.endpoint
    source = _sources.get(settings.database_url)
    if source is None:
        return None
    return source().get(name) or source(fresh=True).get(name)


def forget_endpoints(settings: Settings) -> None:
    """Stored endpoints were changed."""
    if source := _sources.get(settings.database_url):
        source.forget()


def resolve(model: str, settings: Settings) -> Route:
    """The route of the model a job asks for, after aliases (one step).

    Raises UnsupportedModel, naming what to set where that would help.
    """
    return _Routing(model, settings.model_aliases.get(model, model), settings).route()


def known_models(settings: Settings) -> list[KnownModel]:
    """What one can name in a job: aliases, then each vendor's models. No network call but
    Ollama's list. Endpoints serve what they like: they are listed as `<endpoint>/*`, after the
    model they are asked for when none is named.
    """
    known = [
        KnownModel(alias, route.provider, True)
        for alias in settings.model_aliases
        if (route := _try(alias, settings))
    ]
    for vendor in registry().providers:
        usable = vendor.secret(settings) is not None
        known += [KnownModel(name, vendor.name, usable) for name in vendor.models(settings)]
    for name, endpoint in endpoints(settings).items():
        models = (endpoint.model, "*") if endpoint.model else ("*",)
        known += [KnownModel(f"{name}/{one}", name, not _unset(endpoint)) for one in models]
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
        endpoint = endpoint_named(route.provider, self._settings)
        if endpoint is None:
            raise UnsupportedModel(f"{route.provider}/{route.model}")
        from app.providers.vendors import build_endpoint

        trusted = route.provider in self._settings.registered_endpoints
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
        if endpoint := endpoint_named(prefix, self.settings):
            return self._of_endpoint(prefix, rest, endpoint)
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

    def _of_endpoint(self, name: str, model: str, endpoint: Endpoint) -> Route:
        if unset := _unset(endpoint):
            return self._simulated(f"set {' and '.join(unset)}")
        route = _to(name, model, secret=_endpoint_secret(endpoint))
        return replace(route, timeout_seconds=endpoint.timeout_seconds)

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


def _unset(endpoint: Endpoint) -> tuple[str, ...]:
    return endpoint.unset if isinstance(endpoint, StoredEndpoint) else ()


def _endpoint_secret(endpoint: Endpoint) -> str:
    """All that makes a client for it, so that a changed key or address gets a new one."""
    secrets = (endpoint.api_key, endpoint.password)
    rest = endpoint.model_dump_json(exclude={"model", "timeout_seconds"})
    return "\n".join([rest, *(s.get_secret_value() if s else "" for s in secrets)])
