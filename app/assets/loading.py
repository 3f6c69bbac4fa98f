"""Finding an asset for somebody, and what the model is told of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.assets.built_in import Stored
from app.assets.registry import Asset, AssetRef, AssetType, Part, asset_types
from app.errors import AssetNotFound

log = structlog.get_logger(__name__)

MOST_CHARACTERS = 100_000
"""Of an asset and all it is made of."""

SLOW_SECONDS = 0.2
_CUT = "\n(...)"


def find(session: Session, caller: Caller, ref: AssetRef) -> Asset:
    """The asset, if the caller may see it. A type nobody registered is looked for among those that
    are stored here. Raises AssetNotFound, which says the same of what is not there.
    """
    found = _type(ref).find(session, caller, ref)
    if found is None:
        raise AssetNotFound(f"Unknown asset: {ref.type} {ref.id[:80]}")
    return found


@dataclass(frozen=True, slots=True)
class Material:
    """What the model is told of an asset, and whether whoever speaks may change it."""

    text: str
    may_edit: bool


def material(session: Session, caller: Caller, ref: AssetRef) -> Material | None:
    """What the model is told of an asset and of what it is made of, cut at `MOST_CHARACTERS`; None
    where the caller may not see it any more. Parts he may not see are named, and left out.
    """
    began = time.monotonic()
    kind = _type(ref)
    asset = kind.find(session, caller, ref)
    if asset is None:
        return None
    loaded = kind.load(session, caller, asset)
    told = [_section(part) for part in loaded.parts]
    if loaded.missing:
        names = ", ".join(f"{one.type} {one.id}" for one in loaded.missing)
        told.append(f"Not to be seen by the author: {names}.")
    seconds = time.monotonic() - began
    if seconds > SLOW_SECONDS:
        log.warning("asset loaded slowly", asset_type=ref.type, seconds=round(seconds, 3))
    whole = "\n\n".join(told)
    text = whole if len(whole) <= MOST_CHARACTERS else whole[:MOST_CHARACTERS] + _CUT
    return Material(text, asset.may_edit)


def _type(ref: AssetRef) -> AssetType:
    return asset_types().get(ref.type) or Stored(ref.type.replace("_", " ").capitalize())


def _section(part: Part) -> str:
    asset = part.asset
    version = f", version {asset.version}" if asset.version else ""
    return f"{asset.label} “{asset.name}”{version}:\n<asset>\n{part.text}\n</asset>"
