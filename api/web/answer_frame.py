"""An answer as a document of its own, for a frame that can do nothing.

The text comes from a model: it is sanitised (`app.formats`), and the document's policy forbids
whatever might have slipped through: no script, form, navigation or request to anybody. Images are
let through on demand only, because fetching one tells its server who read what.
"""

from __future__ import annotations

import html as markup
from collections.abc import Mapping
from typing import Any

from flask import Response

from app import formats

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src {images}; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'self'; sandbox"
)
NO_IMAGES = "data:"
HTTPS_IMAGES = "data: https:"
THEMES = ("light", "dark")

_STYLE = """
:root{color-scheme:light dark;--ink:#171b24;--paper:#fff;--line:#d9dde5;--sunken:#eef0f4;
--link:#3d4fd6}
@media (prefers-color-scheme:dark){:root:not(.light){--ink:#e8ebf2;--paper:#181c25;--line:#333a49;
--sunken:#222733;--link:#98a5ff}}
:root.light{color-scheme:light}
:root.dark{color-scheme:dark;--ink:#e8ebf2;--paper:#181c25;--line:#333a49;--sunken:#222733;--link:#98a5ff}
body{margin:0;padding:16px;background:var(--paper);color:var(--ink);overflow-wrap:anywhere;
font:15px/1.6 ui-sans-serif,system-ui,"Segoe UI",Roboto,Arial,sans-serif}
body>:first-child{margin-top:0}
a{color:var(--link)}
h1{font-size:1.5em}h2{font-size:1.25em}h3{font-size:1.1em}
pre,code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.9em;background:var(--sunken);
border-radius:4px}
code{padding:1px 4px}pre{padding:12px;overflow:auto;white-space:pre-wrap}pre code{padding:0}
table{border-collapse:collapse;display:block;overflow:auto}
td,th{border:1px solid var(--line);padding:4px 8px;text-align:left}
blockquote{margin-left:0;padding-left:12px;border-left:3px solid var(--line)}
img{max-width:100%}
"""


def document(row: Mapping[str, Any], *, images: bool = False, theme: str = "") -> str | None:
    """The whole HTML document of a described row; None when its format or end has none."""
    if row["rendered_html"] is None:
        return None
    body = row["rendered_html"]
    if images:
        body = formats.render_html(row["format"], row["raw_response"], images=True)
    chosen = f' class="{theme}"' if theme in THEMES else ""
    return (
        f'<!doctype html><html lang="en"{chosen}><head><meta charset="utf-8">'
        f"<title>{markup.escape('Output ' + str(row['id']))}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>"
    )


def response(html: str, *, images: bool = False) -> Response:
    """The document with the policy that makes it harmless, in a frame or opened by itself."""
    answer = Response(html, content_type="text/html; charset=utf-8")
    allowed = HTTPS_IMAGES if images else NO_IMAGES
    answer.headers["Content-Security-Policy"] = POLICY.format(images=allowed)
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer
