"""`client.prompts`: the library of prompt definitions over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from llm_jobs.transport import Transport

_PROMPTS = "/api/v1/prompts"


class Prompts:
    """Prompts by name, in versions. A reference is `name`, `name@3` or `name@label`.

    What is told of a prompt is what `GET /api/v1/prompts/<reference>` answers. Of prompts that are
    not one's own, administrators say whose: `user_id`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        definition: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | bytes,
        *,
        media_type: str | None = None,
        name: str | None = None,
        publish: bool = True,
        user_id: int | None = None,
    ) -> Mapping[str, Any]:
        """Store one or more definitions: `data` tells what became of each, `warnings` of doubts.

        A text is YAML unless `media_type` says otherwise (`application/xml`, also for BPMN). What
        the newest version says already adds none. `name` is for a definition that has none.
        """
        if not isinstance(definition, (str, bytes)):
            definition, media_type = json.dumps(definition), "application/json"
        body: Mapping[str, Any] = self._transport.send(
            "POST",
            _PROMPTS,
            content=definition.encode() if isinstance(definition, str) else definition,
            query=_said(name=name, publish=None if publish else "false", user_id=user_id),
            headers={"Content-Type": media_type or "application/yaml"},
        )[0]
        return body

    def get(self, reference: str, *, user_id: int | None = None) -> Mapping[str, Any]:
        """A prompt and one version of it: the newest unless the reference names another."""
        return self._asked("GET", _address(reference), user_id)

    def export(self, reference: str, format: str = "yaml", *, user_id: int | None = None) -> str:
        """A version's definition as a document: `yaml`, `xml` or `json`."""
        if format == "json":
            definition = self.get(reference, user_id=user_id)["definition"]
            return json.dumps(definition, ensure_ascii=False, indent=2) + "\n"
        query = _said(format=format, user_id=user_id)
        return self._transport.text(_address(reference), query=query)

    def list(self, *, limit: int = 100, **filters: Any) -> Iterator[Mapping[str, Any]]:
        """One's own prompts and the shared ones, newest first; asks for the next page when it is
        needed. `filters` are those of `GET /api/v1/prompts`; `limit` is the size of a page.
        """
        return self._transport.pages(_PROMPTS, limit=limit, filters=filters)

    def diff(
        self,
        name: str,
        before: int | str | None = None,
        after: int | str = "latest",
        *,
        user_id: int | None = None,
    ) -> Mapping[str, Any]:
        """What differs between two versions, each a number or a label."""
        query = {"from": before, "to": after}
        return self._asked("GET", _address(name, "diff"), user_id, **query)

    def label(
        self, name: str, label: str, version: int, *, user_id: int | None = None
    ) -> Mapping[str, Any]:
        """Let a label, such as `production`, mean a version; `previous` is what it meant before."""
        body = {"label": label, "version": version}
        return self._done("POST", _address(name, "labels"), user_id, body=body, repeats=True)

    def publish(self, name: str, *, user_id: int | None = None) -> Mapping[str, Any]:
        """Make the draft the newest version."""
        return self._done("POST", _address(name, "publish"), user_id)

    def roll_back(
        self,
        name: str,
        *,
        label: str | None = None,
        version: int | None = None,
        user_id: int | None = None,
    ) -> Mapping[str, Any]:
        """Move a label (`production`) back to what it meant before; see the API for prompts that
        have none."""
        body = _said(label=label, version=version)
        return self._done("POST", _address(name, "roll_back"), user_id, body=body)

    def archive(self, name: str, *, user_id: int | None = None) -> None:
        """Take a prompt out of the library."""
        self._done("DELETE", _address(name), user_id)

    def _asked(
        self, method: str, path: str, user_id: int | None, **query: Any
    ) -> Mapping[str, Any]:
        body: Mapping[str, Any] = self._transport.send(
            method, path, query=_said(user_id=user_id, **query)
        )[0]
        return body

    def _done(
        self,
        method: str,
        path: str,
        user_id: int | None,
        *,
        body: Mapping[str, Any] | None = None,
        repeats: bool = False,
    ) -> Mapping[str, Any]:
        """An act that is sent once: twice, it would go further back, or find nothing to do."""
        done: Mapping[str, Any] = self._transport.send(
            method, path, json=body, query=_said(user_id=user_id), repeats=repeats
        )[0]
        return done


def _address(*parts: str) -> str:
    return "/".join((_PROMPTS, *(quote(part, safe="") for part in parts)))


def _said(**values: Any) -> dict[str, Any]:
    """Those that were given; true and false as the API writes them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }
