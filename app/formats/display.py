"""The HTML a page may show for an answer. The text comes from a model: nothing in it is trusted.

Only what describes text survives: no images (one alone sends data to a stranger without a click;
who asks for them gets those of https addresses), no scripts, styles, classes, ids, forms or frames,
and links only to http, https and mailto, each marked so that it tells the target nothing. Not here:
the page's Content-Security-Policy, which is the second wall.
"""

from __future__ import annotations

import html as markup
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from nh3 import Cleaner

MAX_LENGTH = 100_000
"""Longer texts are shown unformatted: formatting costs up to 10 µs a character."""

MAX_TAGS = 20_000
"""HTML with more is shown unformatted: its parser is quadratic in how deep tags are nested."""

MAX_CELLS = 30_000
"""Markdown whose tables could have more is shown unformatted: short rows are filled up with empty
cells, so that a few characters cost as much as many."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    "a b blockquote br code dd del dl dt em h1 h2 h3 h4 h5 h6 hr i ins kbd li ol p pre s samp"
    " strong sub sup table tbody td th thead tr u ul"
)
_HTML_TAGS = _TAGS | _words(
    "abbr address article aside caption cite col colgroup details dfn div figcaption figure footer"
    " header main mark q section small span summary tfoot time var"
)
_DROPPED_WITH_CONTENT = _words(
    "applet audio canvas embed frame frameset head iframe math noembed noframes noscript object"
    " script select style svg template textarea title video xmp"
)
_ATTRIBUTES = {
    "a": frozenset({"href", "title"}),
    "ol": frozenset({"start"}),
    "td": frozenset({"colspan", "rowspan"}),
    "th": frozenset({"colspan", "rowspan", "scope"}),
}
_IMAGE_ATTRIBUTES = frozenset({"src", "alt", "title", "width", "height"})
_SCHEMES = frozenset({"http", "https", "mailto"})
_LINK_REL = "noopener noreferrer nofollow"
_TABLE_HEAD = re.compile(r"^[-:|+*>\d.) \t]+$", re.MULTILINE)
_SOLE_FENCE = re.compile(r"\s*```(html|markdown|md)[ \t]*\n(.*?)\n?```\s*", re.DOTALL)


def render_html(format: str, text: str, *, images: bool = False) -> str | None:
    """Sanitised HTML of a `markdown` or `html` answer; None for the other formats. With `images`
    those of https addresses stay: whoever looks at them is seen by the addresses' owners.

    Safe to place inside an element of a page, and nowhere else (not in an attribute or script).
    """
    if format not in ("markdown", "html"):
        return None
    if len(text) > MAX_LENGTH or (format == "html" and text.count("<") > MAX_TAGS):
        return f"<pre>{markup.escape(text)}</pre>"
    text = _without_fence(text)
    if format == "markdown":
        if _most_cells(text) > MAX_CELLS:
            return f"<pre>{markup.escape(text)}</pre>"
        return _cleaner(_TAGS, images).clean(_markdown(images).render(text))
    return _cleaner(_HTML_TAGS, images).clean(text)


def _most_cells(text: str) -> int:
    """How many cells the tables of a text can have at most: the line below a table's head says how
    many columns it has."""
    if "|" not in text:
        return 0
    columns = max((head.count("|") + 1 for head in _TABLE_HEAD.findall(text)), default=0)
    return columns * (text.count("\n") + 1)


def _without_fence(text: str) -> str:
    """Models like to put the whole answer into one code block; then its content is the answer."""
    match = _SOLE_FENCE.fullmatch(text)
    return match[2] if match and "```" not in match[2] else text


@cache
def _markdown(images: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    if not images:
        markdown.add_render_rule("image", _alternative_text)
    return markdown


def _https_images_only(_tag: str, name: str, value: str) -> str | None:
    return None if name == "src" and not value.lower().startswith("https://") else value


def _alternative_text(_renderer: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Of an image only its words are left."""
    return markup.escape(tokens[index].content)


@cache
def _cleaner(tags: frozenset[str], images: bool) -> Cleaner:
    from nh3 import Cleaner

    return Cleaner(
        tags=tags | {"img"} if images else tags,
        clean_content_tags=_DROPPED_WITH_CONTENT,
        attributes={**_ATTRIBUTES, "img": _IMAGE_ATTRIBUTES} if images else _ATTRIBUTES,
        attribute_filter=_https_images_only,
        url_schemes=_SCHEMES,
        url_relative="deny",
        link_rel=_LINK_REL,
        strip_comments=True,
    )
