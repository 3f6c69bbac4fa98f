"""Assets: what chats may be about, whatever table it is in.

    registry.py   what a type of asset is; the types there are, also from plugins
    built_in.py   outputs and jobs, prompts, and stored assets of any type
    storing.py    assets that are stored here: made, listed, given new versions
    loading.py    finding one for somebody, and what the model is told of it

An asset somebody may not see does not exist for them. Nothing here knows chats.
"""

from app.assets.loading import Material, find, material
from app.assets.registry import (
    LEGACY,
    Asset,
    AssetRef,
    AssetType,
    Loaded,
    Part,
    asset_types,
    reference,
)
from app.assets.storing import (
    NewAsset,
    add_version,
    content_of,
    create,
    describe,
    get,
    grant,
    list_assets,
    list_grants,
    remove,
    revoke,
)

__all__ = [
    "LEGACY",
    "Asset",
    "AssetRef",
    "AssetType",
    "Loaded",
    "Material",
    "NewAsset",
    "Part",
    "add_version",
    "asset_types",
    "content_of",
    "create",
    "describe",
    "find",
    "get",
    "grant",
    "list_assets",
    "list_grants",
    "material",
    "reference",
    "remove",
    "revoke",
]
