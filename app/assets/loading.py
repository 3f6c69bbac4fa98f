"""Finding an asset for somebody, and what the model is told of it."""

from __future__ import annotations

import time

import structlog
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.assets.built_in import Stored
from app.assets.registry import Asset, AssetRef, AssetType, asset_types
from app.errors import AssetNotFound

log = structlog.get_logger(__name__)

MOST_CHARACTERS = 100_000
"""Of an asset and all it is made of."""

MOST_RELATED = 50
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


def content_for(session: Session, caller: Caller, ref: AssetRef) -> str | None:
    """What the model is told of an asset and of what it is made of, cut at `MOST_CHARACTERS`; None
    where the caller may not see it any more. Parts he may not see are named, and left out.
    """
    began = time.monotonic()
    kind = _type(ref)
    asset = kind.find(session, caller, ref)
    if asset is None:
        return None
    told, missing = [_section(session, caller, asset, kind)], []
    for part in kind.related(session, asset)[:MOST_RELATED]:
        of = _type(part)
        found = of.find(session, caller, part)
        if found is None:
            missing.append(f"{part.type} {part.id}")
        else:
            told.append(_section(session, caller, found, of))
    if missing:
        told.append(f"Not to be seen by the author: {', '.join(missing)}.")
    seconds = time.monotonic() - began
    if seconds > SLOW_SECONDS:
        log.warning("asset loaded slowly", asset_type=ref.type, seconds=round(seconds, 3))
    whole = "\n\n".join(told)
    return whole if len(whole) <= MOST_CHARACTERS else whole[:MOST_CHARACTERS] + _CUT


def _type(ref: AssetRef) -> AssetType:
    return asset_types().get(ref.type) or Stored(ref.type.replace("_", " ").capitalize())


def _section(session: Session, caller: Caller, asset: Asset, kind: AssetType) -> str:
    version = f", version {asset.version}" if asset.version else ""
    content = kind.content(session, caller, asset)
    return f"{asset.label} “{asset.name}”{version}:\n<asset>\n{content}\n</asset>"
