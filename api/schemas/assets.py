"""Assets: what chats are about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.schemas.common import ListOf, PageQuery, Shown, Strict

_TYPE = "Such as `metric_file`, `dashboard_file`, `report_file`, or a name of one's own."


class AssetBody(Strict):
    """An asset to store."""

    type: str = Field(min_length=1, max_length=32, description=_TYPE, examples=["metric_file"])
    name: str = Field(min_length=1, max_length=255, examples=["Revenue by month"])
    content: Any = Field(description="Any JSON; a text as it is.", examples=[{"sql": "select 1"}])
    project: str | None = Field(None, max_length=255)
    shared: bool = Field(False, description="Everybody may read it.")


class AssetChange(Strict):
    """What to change of an asset; what is not named stays."""

    content: Any = Field(None, description="The next version's.", examples=[{"sql": "select 2"}])
    name: str | None = Field(None, min_length=1, max_length=255)
    shared: bool | None = None


class AssetsQuery(PageQuery):
    """Which assets."""

    type: str | None = Field(None, max_length=32, description="Only those of this type.")
    q: str | None = Field(None, max_length=200, description="Looked for in names.")


class AssetLine(Shown):
    """A stored asset without its content."""

    id: int
    type: str
    name: str
    project: str | None
    shared: bool
    version: int
    user_id: int
    created_at: datetime
    updated_at: datetime


class AssetShown(AssetLine):
    """A stored asset."""

    content: Any = Field(description="Its newest version's.")


class AssetList(ListOf[AssetLine]):
    """One page of stored assets, newest first."""


class AssetTypeShown(Shown):
    """A type of asset."""

    name: str = Field(examples=["llm_output"])
    label: str = Field(examples=["Output"])


class AssetTypeList(Shown):
    """The types there are; a stored asset may have any other name, too."""

    data: list[AssetTypeShown]
