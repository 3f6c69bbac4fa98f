"""Scripts and styles: below an address that holds their version, so that browsers keep them.

The version is a hash of all of them; what is served is the same whatever version is asked for.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, Response, send_from_directory

FOLDER = Path(__file__).parents[1] / "static" / "web"
FOREVER = "public, max-age=31536000, immutable"


def install(app: Flask) -> None:
    """Serve `/assets/<version>/<file>`."""
    app.add_url_rule("/assets/<version>/<path:name>", "asset", _asset)


def address(name: str) -> str:
    """Where a page finds an asset: `address("app.css")`."""
    return f"/assets/{version()}/{name}"


@cache
def version() -> str:
    """Eight hexadecimal digits that change when any asset does."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(FOLDER).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _asset(version: str, name: str) -> Response:
    response = send_from_directory(FOLDER, name)
    response.headers["Cache-Control"] = FOREVER
    response.headers["Vary"] = "Accept-Encoding"  # the same for everybody
    return response
