"""Server-Sent Events as they arrive: what one is, and reading them off the lines of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream: of a job `snapshot`, `status`, `delta`, `reset` or `final`."""

    id: str
    event: str
    data: Mapping[str, Any]


def read_events(lines: Iterator[str]) -> Iterator[Event]:
    """Server-Sent Events from their lines; comments and unfinished events are left out."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "data" in fields:
            yield Event(
                id=fields.get("id", [""])[-1],
                event=fields.get("event", ["message"])[-1],
                data=json.loads("\n".join(fields["data"])),
            )
        fields = {}
