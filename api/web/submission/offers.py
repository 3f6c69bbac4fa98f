"""What the form offers to choose from: models by provider, one's own agents, an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.accounts import Caller, list_agents
from app.jobs import list_outputs
from app.plugins import registry
from app.prompts import library
from app.providers.registry import KnownModel, known_models
from app.runtime import Runtime
from app.settings import Settings
from models import Agent

MOST_AGENTS = 100
MOST_PROMPTS = 100

EXAMPLE = {
    "template": "Explain {{concept}} to {{audience}} in two sentences.",
    "model": "simulator/echo",
    "context": '{"concept": "a message queue", "audience": "a new colleague"}',
}
"""A job that needs no provider and costs nothing."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model one may name. What is not `usable` says in `note` what would make it so."""

    name: str
    usable: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The models of one provider. `note` is said once for all of them."""

    provider: str
    offers: tuple[Offer, ...]
    usable: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Offers:
    """Everything to choose from."""

    groups: tuple[Group, ...]
    agents: Sequence[Agent]
    last_model: str
    first_time: bool
    has_example: bool

    def offers(self, model: str) -> bool:
        """Whether this name stands in the list and may be chosen there."""
        return any(o.name == model and o.usable for group in self.groups for o in group.offers)

    @property
    def default_model(self) -> str:
        """The one chosen last, else the first that needs no simulator to stand in for it."""
        real = [offer for group in self.groups if not group.note for offer in group.offers]
        names = [offer.name for offer in real if offer.usable]
        return self.last_model or next(iter(names or self.usable), "")

    @property
    def usable(self) -> list[str]:
        """The names that may be chosen."""
        return [offer.name for group in self.groups for offer in group.offers if offer.usable]


def offers_for(runtime: Runtime, caller: Caller) -> Offers:
    """What this caller may choose. The last model is that of his newest output, or ""."""
    groups = _groups(runtime.settings)
    with runtime.database.read() as session:
        newest = list_outputs(session, caller, limit=1).rows
        agents = list_agents(session, caller, limit=MOST_AGENTS).rows
        session.expunge_all()
        last = newest[0].model_name if newest else ""
    return Offers(
        groups=groups,
        agents=agents,
        last_model=last,
        first_time=not newest,
        has_example=runtime.settings.simulator_url is not None,
    )


@dataclass(frozen=True, slots=True)
class PromptOffer:
    """A saved prompt one may run: its name, and its versions that have names of their own."""

    name: str
    description: str
    labels: tuple[str, ...]
    shared: bool

    @property
    def references(self) -> tuple[str, ...]:
        """What a job may say to get it."""
        return (self.name, *(f"{self.name}@{label}" for label in self.labels))


def prompts_for(runtime: Runtime, caller: Caller) -> list[PromptOffer]:
    """The caller's own published prompts, then the shared ones whose names are not among his own:
    a name means one's own first.
    """
    with runtime.database.read() as session:
        rows = library.list_prompts(session, caller, limit=MOST_PROMPTS).rows
        found = library.describe_many(session, caller, rows)
    mine = {each["name"] for each in found if _is_his(each, caller)}
    usable = [each for each in found if each["latest"] is not None]
    chosen = [one for one in usable if _is_his(one, caller) or one["name"] not in mine]
    return [
        PromptOffer(one["name"], one["description"], tuple(one["labels"]), not _is_his(one, caller))
        for one in sorted(chosen, key=lambda one: (not _is_his(one, caller), one["name"]))
    ]


def _is_his(described: Mapping[str, Any], caller: Caller) -> bool:
    owner = described["owner"]
    return owner is not None and owner["id"] == caller.user_id


def _groups(settings: Settings) -> tuple[Group, ...]:
    by_provider: dict[str, list[KnownModel]] = {}
    for model in known_models(settings):
        by_provider.setdefault(model.provider, []).append(model)
    return tuple(_group(provider, models, settings) for provider, models in by_provider.items())


def _group(provider: str, models: Sequence[KnownModel], settings: Settings) -> Group:
    configured = any(model.configured for model in models)
    simulated = settings.simulate_missing and settings.simulator_url is not None
    note = "" if configured else _why_not(provider, simulated=simulated)
    return Group(
        provider,
        tuple(_offer(model, simulated=simulated) for model in models),
        configured or simulated,
        note,
    )


def _offer(model: KnownModel, *, simulated: bool) -> Offer:
    if model.name.endswith("/*"):
        return Offer(model.name, usable=False, note="type its name below “Another model”")
    return Offer(model.name, model.configured or simulated)


def _why_not(provider: str, *, simulated: bool) -> str:
    vendor = registry().providers.get(provider)
    hint = vendor.hint if vendor else ""
    if simulated:
        return f"the simulator answers; {hint} for the real one" if hint else "simulated"
    return f"not configured: {hint}" if hint else "not configured"
