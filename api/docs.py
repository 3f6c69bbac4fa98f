"""The OpenAPI document and the page that shows it. Everything the page loads is served by us."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flask import Flask, Response, request, url_for

from api import openapi
from api.body import JSON
from api.routing import Endpoint

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>LLM Jobs: HTTP API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{static}/swagger-ui/swagger-ui.css">
<link rel="stylesheet" href="{static}/docs.css">
</head>
<body>
<div id="swagger-ui" data-document="{document}">
<noscript>This page needs JavaScript. The same is at
<a href="{document}">{document}</a>.</noscript>
</div>
<script src="{static}/swagger-ui/swagger-ui-bundle.js"></script>
<script src="{static}/docs.js"></script>
</body>
</html>
"""


def install(app: Flask, endpoints: Sequence[Endpoint]) -> None:
    """Serve `/openapi.json` (also below `/api/v1`) and `/docs`."""
    text = json.dumps(openapi.document(endpoints), ensure_ascii=False, separators=(",", ":"))

    def openapi_document() -> Response:
        response = Response(text, content_type=JSON)
        response.headers["Cache-Control"] = "public, max-age=60"
        response.add_etag()
        response.make_conditional(request)
        return response

    app.add_url_rule("/openapi.json", "openapi_document", openapi_document)
    app.add_url_rule("/api/v1/openapi.json", "openapi_document_v1", openapi_document)
    app.add_url_rule("/docs", "docs_page", _page, strict_slashes=False)


def _page() -> Response:
    static = url_for("static", filename="").rstrip("/")
    html = _PAGE.format(static=static, document=url_for("openapi_document"))
    response = Response(html, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response
