"""Assets that are stored here: made, listed, given new versions. A version never changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app import grants, paging
from app.accounts import Caller
from app.assets.registry import TYPE_NAME
from app.errors import AssetNotFound, Forbidden, InvalidParameter
from app.jobs.limits import check_text, check_value
from app.lookup import row_by_id
from app.moments import iso
from app.paging import Page
from models import AssetGrant, AssetVersion, GrantRole, StoredAsset
from models.types import now

LONGEST_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAsset:
    """An asset to store; `content` is any JSON."""

    type: str
    name: str
    content: Any
    project: str = ""
    shared: bool = False


def create(session: Session, caller: Caller, wanted: NewAsset) -> StoredAsset:
    """Store an asset as its first version. Raises InvalidParameter, Forbidden for nobody."""
    if caller.user_id is None:
        raise Forbidden("An asset needs a user whose it is")
    if not TYPE_NAME.fullmatch(wanted.type):
        raise InvalidParameter(
            "A type has letters, digits and _, and begins with a letter", pointer="/type"
        )
    row = StoredAsset(
        user_id=caller.user_id,
        type=wanted.type,
        name=_name(wanted.name),
        project=wanted.project,
        shared=wanted.shared,
    )
    session.add(row)
    session.flush()
    _add(session, caller, row, wanted.content)
    return row


def add_version(
    session: Session,
    caller: Caller,
    asset_id: int,
    *,
    content: Any = None,
    name: str | None = None,
    shared: bool | None = None,
) -> StoredAsset:
    """Give an asset its next version, another name, or let everybody read it. What is None stays;
    content that is the same adds no version. Raises AssetNotFound, Forbidden, InvalidParameter.
    """
    need = GrantRole.CAN_EDIT if shared is None else GrantRole.OWNER
    row = get(session, caller, asset_id, need=need)
    row = session.get_one(StoredAsset, row.id, with_for_update=True, populate_existing=True)
    if name is not None:
        row.name = _name(name)
    if shared is not None:
        row.shared = shared
    if content is not None and content != content_of(session, row):
        row.version += 1
        _add(session, caller, row, content)
    row.updated_at = now()
    session.flush()
    session.refresh(row)
    return row


def get(
    session: Session, caller: Caller, asset_id: int, *, need: GrantRole = GrantRole.CAN_VIEW
) -> StoredAsset:
    """A stored asset the caller may see. Raises AssetNotFound, and Forbidden for one with which
    they may not do so much.
    """
    row = visible(session, caller, asset_id)
    if row is None:
        raise AssetNotFound(f"Unknown asset: {asset_id}")
    grants.require(role_of(session, caller, row), need, "asset")
    return row


def visible(session: Session, caller: Caller, asset_id: int) -> StoredAsset | None:
    """The same; None where there is none for the caller."""
    row = row_by_id(session, StoredAsset, asset_id)
    if row is None or row.deleted_at is not None:
        return None
    return row if role_of(session, caller, row) is not None else None


def role_of(session: Session, caller: Caller, row: StoredAsset) -> GrantRole | None:
    """What the caller may do with an asset; everybody may read a shared one."""
    role = grants.role_in(session, caller, row)
    return role or (GrantRole.CAN_VIEW if row.shared else None)


def may_edit(session: Session, caller: Caller, row: StoredAsset) -> bool:
    """Whether the caller may give an asset its next version."""
    return grants.reaches(grants.role_in(session, caller, row), GrantRole.CAN_EDIT)


def contents(
    session: Session, caller: Caller, type: str, asset_ids: Sequence[int]
) -> list[tuple[StoredAsset, Any]]:
    """Those of the assets that the caller may see, with their newest contents, in the order asked
    for; one query.
    """
    newest = (AssetVersion.asset_id == StoredAsset.id) & (
        AssetVersion.version == StoredAsset.version
    )
    query = (
        select(StoredAsset, AssetVersion.content)
        .join(AssetVersion, newest)
        .where(
            StoredAsset.id.in_(asset_ids),
            StoredAsset.type == type,
            StoredAsset.deleted_at.is_(None),
            *([] if caller.is_admin else [_readable(caller)]),
        )
    )
    found = {row.id: (row, content) for row, content in session.execute(query)}
    return [found[one] for one in asset_ids if one in found]


def list_assets(
    session: Session,
    caller: Caller,
    *,
    limit: int = paging.DEFAULT_LIMIT,
    after: str | None = None,
    type: str | None = None,
    q: str | None = None,
) -> Page[StoredAsset]:
    """One's own stored assets, those one was let into and shared ones, newest first."""
    query = select(StoredAsset).where(_readable(caller), StoredAsset.deleted_at.is_(None))
    if type is not None:
        query = query.where(StoredAsset.type == type)
    if q:
        query = query.where(StoredAsset.name.icontains(q, autoescape=True))
    return paging.newest_first(session, query, StoredAsset.id, limit=limit, after=after)


def remove(session: Session, caller: Caller, asset_id: int) -> None:
    """Take an asset out of sight; chats about it go on without it. Raises as `add_version`."""
    get(session, caller, asset_id, need=GrantRole.OWNER).deleted_at = now()


def grant(
    session: Session, caller: Caller, asset_id: int, *, user_id: int, role: str
) -> dict[str, Any]:
    """Let somebody see or change an asset. Raises AssetNotFound, NotFound, Forbidden, Conflict."""
    row = get(session, caller, asset_id, need=GrantRole.OWNER)
    return grants.give(session, row, user_id=user_id, role=role)


def list_grants(session: Session, caller: Caller, asset_id: int) -> list[dict[str, Any]]:
    """Who may what with an asset, its creator first. Raises AssetNotFound, Forbidden for readers
    of a shared one: whom it was given to is none of their business.
    """
    row = get(session, caller, asset_id)
    grants.require(grants.role_in(session, caller, row), GrantRole.CAN_VIEW, "asset")
    return grants.listed(session, row)


def revoke(session: Session, caller: Caller, asset_id: int, *, user_id: int) -> None:
    """Take somebody's grant back. Raises as `grant`."""
    row = get(session, caller, asset_id, need=GrantRole.OWNER)
    grants.take_back(session, row, user_id=user_id)


def describe(session: Session, rows: Sequence[StoredAsset]) -> list[dict[str, Any]]:
    """Stored assets as clients see them, without their content."""
    return [
        {
            "id": row.id,
            "type": row.type,
            "name": row.name,
            "project": row.project or None,
            "shared": row.shared,
            "version": row.version,
            "user_id": row.user_id,
            "created_at": iso(row.created_at),
            "updated_at": iso(row.updated_at),
        }
        for row in rows
    ]


def content_of(session: Session, row: StoredAsset) -> Any:
    """Its newest version's content."""
    return content_in(session, row.id, row.version)


def content_in(session: Session, asset_id: int, version: int) -> Any:
    """The content of a version that is known to be there."""
    return session.get_one(AssetVersion, (asset_id, version)).content


def _readable(caller: Caller) -> ColumnElement[bool]:
    """The condition of lists."""
    let_in = StoredAsset.id.in_(grants.granted(caller, AssetGrant))
    return or_(StoredAsset.user_id == caller.user_id, StoredAsset.shared, let_in)


def _add(session: Session, caller: Caller, row: StoredAsset, content: Any) -> None:
    check_value(content, pointer="/content", depth=2)
    session.add(
        AssetVersion(asset_id=row.id, version=row.version, content=content, user_id=caller.user_id)
    )
    session.flush()


def _name(name: str) -> str:
    check_text(name, pointer="/name")
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidParameter(f"A name has 1 to {LONGEST_NAME} characters", pointer="/name")
    return name
