"""Parts of a path as values. What cannot be an id becomes one that no row has.

So an odd id is refused like an unknown one: after the key was checked, with 404.
"""

from __future__ import annotations

import re

from werkzeug.routing import BaseConverter

from api.schemas.common import LARGEST_ID

NO_ROW = -1
NO_JOB = ""

_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class RowId(BaseConverter):
    """The number of a row."""

    def to_python(self, value: str) -> int:
        number = int(value) if _NUMBER.fullmatch(value) else NO_ROW
        return number if number <= LARGEST_ID else NO_ROW


class JobId(BaseConverter):
    """The id of a job."""

    def to_python(self, value: str) -> str:
        return value.lower() if _UUID.fullmatch(value) else NO_JOB


CONVERTERS = {"row": RowId, "job": JobId}
