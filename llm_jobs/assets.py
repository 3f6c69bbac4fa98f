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
        """One's own and those everybody may read, newest first; `filters` are `type` and `q`."""
        query: dict[str, Any] = {"limit": limit, **filters}
        while True:
            page = self._send("GET", _ASSETS, query=query)
            yield from page["data"]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def remove(self, asset_id: int) -> None:
        """Take it out of sight."""
        self._send("DELETE", f"{_ASSETS}/{asset_id}")

    def _send(self, method: str, path: str, **how: Any) -> Facts:
        body: Facts = self._transport.send(method, path, **how)[0]
        return body
