"""What a type of asset is, which there are, and how a request names one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import InvalidParameter
from app.plugins import registry

TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
LONGEST_ID = 255

LEGACY: Mapping[str, str] = {"metric_id": "metric_file", "dashboard_id": "dashboard_file"}
"""Fields of older clients, and the type each of them means."""


@dataclass(frozen=True, slots=True)
class AssetRef:
    """An asset by its type and its id, as text."""

    type: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An asset somebody may see. `label` is its type in words; `version` None where it has none.
    Whoever may not edit it is suggested no changes of it.
    """

    type: str
    id: str
    name: str
    label: str
    version: int | None = None
    may_edit: bool = True

    @property
    def identity(self) -> tuple[str, str, int | None]:
        """Its type, its id and its version."""
        return self.type, self.id, self.version


@dataclass(frozen=True, slots=True)
class Part:
    """An asset that was read, with its text."""

    asset: Asset
    text: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """An asset and what it is made of, itself first; `missing` are parts the caller may not see."""

    parts: Sequence[Part]
    missing: Sequence[AssetRef] = ()


class AssetType(Protocol):
    """A type of asset: a part of the registry's section `asset_types`, under its name."""

    @property
    def label(self) -> str:
        """What people call it."""

    def find(self, session: Session, caller: Caller, ref: AssetRef) -> Asset | None:
        """One that the caller may see; None for any other."""

    def load(self, session: Session, caller: Caller, asset: Asset) -> Loaded:
        """What the model is told of one that was found, and of what it is made of."""


def asset_types() -> dict[str, AssetType]:
    """Every type by its name: those that come with the platform, then plugins'."""
    from app.assets.built_in import TYPES  # which stands on this module

    section = registry().asset_types
    return {**TYPES, **{name: part for name in section.names() if (part := section.get(name))}}


def reference(sent: Mapping[str, Any]) -> AssetRef | None:
    """The asset a request names: `asset_type` and `asset_id`, both or neither, else the field of an
    older client. None where it names none. Raises InvalidParameter.
    """
    type, id = sent.get("asset_type"), sent.get("asset_id")
    if (type is None) != (id is None):
        missing = "asset_type" if type is None else "asset_id"
        raise InvalidParameter(
            "asset_id and asset_type belong together: send both, or neither", pointer=f"/{missing}"
        )
    older = [(LEGACY[name], sent[name], name) for name in LEGACY if sent.get(name) is not None]
    if type is None and not older:
        return None
    if len(older) > 1:
        raise InvalidParameter("A chat is about one asset at first", pointer=f"/{older[1][2]}")
    if type is None:
        type, id, _ = older[0]
    return checked(str(type), str(id))


def checked(type: str, id: str) -> AssetRef:
    """The reference, if it can be one. Raises InvalidParameter."""
    if not TYPE_NAME.fullmatch(type):
        raise InvalidParameter(
            "An asset_type has letters, digits and _, and begins with a letter",
            pointer="/asset_type",
        )
    if not 1 <= len(id) <= LONGEST_ID or not id.isprintable():
        raise InvalidParameter("That is no asset_id", pointer="/asset_id")
    return AssetRef(type, id)
