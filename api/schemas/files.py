"""Files in the body of a request: what a client writes, and the field that shows it in a document.

`api.uploads` takes the files out before a body is checked and hands them to the view beside it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from api.schemas.common import Strict


class FileBody(Strict):
    """A file: its name, and what is in it as text or as bytes."""

    name: str = Field(
        min_length=1,
        max_length=255,
        description="Its name alone, without a directory; no two files have the same.",
        examples=["report.txt"],
    )
    text: str | None = Field(None, description="Its text.", examples=["Sales went up by 4 %."])
    base64: str | None = Field(
        None,
        description="Instead of `text`: its bytes (plain text or PDF) in base64, padded.",
        examples=[None],
    )

    @model_validator(mode="after")
    def _one_content(self) -> FileBody:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("should have either text or base64")
        return self


class FilesBody(Strict):
    """The files of a body, by themselves."""

    files: list[FileBody] | None = None


def _taken_out_before(value: Any) -> Any:
    """A body that still has files was sent where nobody takes them."""
    if value is not None:
        raise ValueError("files are not taken here; send them as application/json or multipart")
    return value


Files = Annotated[
    list[FileBody] | None,
    BeforeValidator(_taken_out_before),
    Field(
        description="Files whose text the prompt may read. As `multipart/form-data`, each is a part"
        " named `files` instead.",
        examples=[None],
    ),
]
"""The field `files` of a body that is read with `BodyLimits.files`: `files: Files = None`."""


class FilesMixin(Strict):
    """For the body of such an endpoint. Its view finds the files in `Call.files`."""

    files: Files = None
