"""`client.assets`: what chats can be about, stored over HTTP in versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llm_jobs.transport import Transport

_ASSETS = "/api/v1/assets"

Facts = Mapping[str, Any]
"""An asset, as the API shows it."""


class Assets:
    """Stored assets by their numbers. Prompts, outputs and jobs are assets as they are."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def types(self) -> Sequence[Facts]:
        """The types that are known."""
        found: Sequence[Facts] = self._send("GET", "/api/v1/asset_types")["data"]
        return found

    def create(self, type: str, name: str, content: Any, **more: Any) -> Facts:
        """Store an asset, in version 1; `more` are `project` and `shared`. Not repeated where the
        network fails, for it would be stored twice.
        """
        body = {"type": type, "name": name, "content": content, **more}
        return self._send("POST", _ASSETS, json=body, repeats=False)

    def get(self, asset_id: int) -> Facts:
        """An asset with its newest content."""
        return self._send("GET", f"{_ASSETS}/{asset_id}")

    def change(self, asset_id: int, **changes: Any) -> Facts:
        """Give it a new version (`content`), another `name`, or let everybody read it (`shared`).
        The same content again adds no version.
        """
        return self._send("PATCH", f"{_ASSETS}/{asset_id}", json=changes)

    def list(self, *, limit: int = 100, **filters: Any) -> Iterator[Facts]:
        """One's own, those one was let into and shared ones, newest first; `filters` are `type`
        and `q`.
        """
        return self._transport.pages(_ASSETS, limit=limit, filters=filters)

    def share(self, asset_id: int, user_id: int, role: str = "can_view") -> None:
        """Let somebody in: `can_view`, `can_edit` (they may give it versions) or `owner`."""
        self._send("POST", f"{_ASSETS}/{asset_id}/grants", json={"user_id": user_id, "role": role})

    def grants(self, asset_id: int) -> Sequence[Facts]:
        """Who may what with it, its creator first."""
        found: Sequence[Facts] = self._send("GET", f"{_ASSETS}/{asset_id}/grants")["data"]
        return found

    def unshare(self, asset_id: int, user_id: int) -> None:
        """Let somebody see it no more."""
        self._send("DELETE", f"{_ASSETS}/{asset_id}/grants/{user_id}", repeats=False)

    def remove(self, asset_id: int) -> None:
        """Take it out of sight."""
        self._send("DELETE", f"{_ASSETS}/{asset_id}")

    def _send(self, method: str, path: str, **how: Any) -> Facts:
        body: Facts = self._transport.send(method, path, **how)[0]
        return body
