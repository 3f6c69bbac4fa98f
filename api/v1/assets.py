"""Assets that are stored here, and the types of assets chats may be about."""

from __future__ import annotations

from typing import Any

from api.auth import scope
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.assets import (
    AssetBody,
    AssetChange,
    AssetList,
    AssetShown,
    AssetsQuery,
    AssetTypeList,
)
from api.schemas.common import Empty
from api.schemas.grants import AssetGrantGiven, AssetGrantList, GrantBody
from app import assets
from app.assets import NewAsset
from models import Scope, StoredAsset

routes = Routes("/api/v1", tag="chats")

_READ = scope(Scope.CHAT_READ)
_WRITE = scope(Scope.CHAT_WRITE)
_NOT_YOURS = "It is somebody else's, who has not let you do so much."


@routes.get(
    "/asset_types",
    access=_READ,
    answers={200: Answer(description="The types.", model=AssetTypeList)},
)
def list_asset_types(call: Call[Empty, Empty]) -> Reply:
    """List the types of assets that are known, plugins' included."""
    found = assets.asset_types()
    return Reply(
        body={"data": [{"name": name, "label": kind.label} for name, kind in found.items()]}
    )


@routes.get(
    "/assets",
    access=_READ,
    query=AssetsQuery,
    answers={200: Answer(description="A page of stored assets.", model=AssetList)},
)
def list_assets(call: Call[Empty, AssetsQuery]) -> Reply:
    """List one's own stored assets, those one was let into and those everybody may read; newest
    first.
    """
    with call.runtime.database.read() as session:
        page = assets.list_assets(session, call.caller, **call.query.model_dump())
        return page_reply(page, lambda rows: assets.describe(session, rows))


@routes.post(
    "/assets",
    access=_WRITE,
    body=AssetBody,
    answers={201: Answer(description="The asset is stored.", model=AssetShown)},
)
def create_asset(call: Call[AssetBody, Empty]) -> Reply:
    """Store an asset, as its first version."""
    sent = call.body.model_dump(exclude_none=True)
    with call.runtime.database.write() as session:
        row = assets.create(session, call.caller, NewAsset(**{"content": None, **sent}))
        return Reply(
            body=_shown(session, row),
            status=201,
            headers={"Location": f"/api/v1/assets/{row.id}"},
        )


@routes.get(
    "/assets/<row:asset_id>",
    access=_READ,
    answers={200: Answer(description="The asset.", model=AssetShown)},
)
def get_asset(call: Call[Empty, Empty], asset_id: int) -> Reply:
    """Show a stored asset with its newest content."""
    with call.runtime.database.read() as session:
        return Reply(body=_shown(session, assets.get(session, call.caller, asset_id)))


@routes.patch(
    "/assets/<row:asset_id>",
    access=_WRITE,
    body=AssetChange,
    answers={200: Answer(description="The asset as it is now.", model=AssetShown)},
    errors={403: _NOT_YOURS},
)
def update_asset(call: Call[AssetChange, Empty], asset_id: int) -> Reply:
    """Give a stored asset its next version, another name, or let everybody read it.

    Content that is the same adds no version.
    """
    changes = call.body.model_dump(exclude_unset=True)
    with call.runtime.database.write() as session:
        row = assets.add_version(session, call.caller, asset_id, **changes)
        return Reply(body=_shown(session, row))


@routes.delete(
    "/assets/<row:asset_id>",
    access=_WRITE,
    answers={204: Answer(description="The asset is gone.")},
    errors={403: _NOT_YOURS},
)
def remove_asset(call: Call[Empty, Empty], asset_id: int) -> Reply:
    """Take a stored asset out of sight; chats about it go on without it."""
    with call.runtime.database.write() as session:
        assets.remove(session, call.caller, asset_id)
    return Reply(status=204)


@routes.post(
    "/assets/<row:asset_id>/grants",
    access=_WRITE,
    body=GrantBody,
    answers={200: Answer(description="What they may do now.", model=AssetGrantGiven)},
    errors={403: _NOT_YOURS, 409: "It is the asset's creator."},
)
def share_asset(call: Call[GrantBody, Empty], asset_id: int) -> Reply:
    """Let somebody see a stored asset, or change it: `can_edit` gives it new versions, `owner`
    also shares and removes it.
    """
    with call.runtime.database.write() as session:
        given = assets.grant(session, call.caller, asset_id, **call.body.model_dump())
    return Reply(body=given)


@routes.get(
    "/assets/<row:asset_id>/grants",
    access=_READ,
    answers={200: Answer(description="Who may what with it.", model=AssetGrantList)},
    errors={403: _NOT_YOURS},
)
def list_asset_grants(call: Call[Empty, Empty], asset_id: int) -> Reply:
    """List who was let into a stored asset, its creator first."""
    with call.runtime.database.read() as session:
        return Reply(body={"data": assets.list_grants(session, call.caller, asset_id)})


@routes.delete(
    "/assets/<row:asset_id>/grants/<row:user_id>",
    access=_WRITE,
    answers={204: Answer(description="They are out.")},
    errors={403: _NOT_YOURS, 409: "It is the asset's creator."},
)
def unshare_asset(call: Call[Empty, Empty], asset_id: int, user_id: int) -> Reply:
    """Let somebody see a stored asset no more."""
    with call.runtime.database.write() as session:
        assets.revoke(session, call.caller, asset_id, user_id=user_id)
    return Reply(status=204)


def _shown(session: Any, row: StoredAsset) -> dict[str, Any]:
    session.flush()
    session.refresh(row)
    return {**assets.describe(session, [row])[0], "content": assets.content_of(session, row)}
