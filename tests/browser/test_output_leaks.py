"""What a model wrote reaches nobody: no request leaves a page that shows it, and none of it acts.

A trap on another port counts who comes. The same text on a page without our walls brings many.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Route, expect
from sqlalchemy import update

from app import feedback
from models import Attempt, LLMOutput
from tests.browser.one_output import Submit, path
from tests.support.browser import Person
from tests.support.platform import Platform

TABS = ("result", "raw", "prompt", "context", "attempts", "lineage", "trace")
LAST_WORDS = "the very end"
HTML = """
<script src="T/script.js"></script><script>fetch("T/fetch"); location = "T/location"</script>
<img src="T/img.png" srcset="T/srcset.png 2x" onerror="fetch('T/onerror')">
<link rel="stylesheet" href="T/sheet.css"><link rel="prefetch" href="T/prefetch">
<link rel="preload" as="image" href="T/preload.png"><link rel="icon" href="T/icon.png">
<style>@import "T/import.css"; body { background: url(T/background.png) }</style>
<p style="background: url(T/inline.png)">styled</p><body background="T/body.png">
<form action="T/form" id="f"><input name="a" value="b"><button autofocus>send</button></form>
<script>document.getElementById("f").submit()</script>
<meta http-equiv="refresh" content="0;url=T/refresh"><base href="T/base/"><img src="relative.png">
<svg><image href="T/svg.png"/><use href="T/use.svg#a"/><script href="T/svg.js"/></svg>
<iframe src="T/iframe"></iframe><iframe srcdoc="<img src=T/srcdoc.png>"></iframe>
<video src="T/video.mp4" poster="T/poster.png" autoplay></video>
<audio src="T/audio.mp3" autoplay></audio>
<object data="T/object"></object><embed src="T/embed"><input type="image" src="T/input.png">
<table background="T/table.png"><tr><td>cell</td></tr></table>
<details open ontoggle="fetch('T/toggle')">x</details>
<math><mtext><img src="T/math.png"></mtext></math>
"""
MARKDOWN = "\n![i](T/markdown.png) ![r][ref]\n\n[ref]: T/reference.png\n\n<T/autolink>\n"
FORMATS = ("html", "markdown", "text", "json")


class Trap(ThreadingHTTPServer):
    """Remembers every path that was asked for; `/bare` serves the text without any wall."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Trap

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = HTML.replace("T/", f"{self.server.url}/").encode() if self.path == "/bare" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if body else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """The test's output is no place for it."""


@contextmanager
def running_trap() -> Iterator[Trap]:
    server = Trap()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def trap() -> Iterator[Trap]:
    """A trap nobody has fallen into."""
    with running_trap() as found:
        yield found


def answer(trap: Trap, format: str) -> str:
    """A hostile answer in a format."""
    text = (HTML + MARKDOWN).replace("T/", f"{trap.url}/")
    return json.dumps({"x": text, "end": LAST_WORDS}) if format == "json" else text + LAST_WORDS


def test_the_trap_catches_what_has_no_walls(browser: Browser, trap: Trap) -> None:
    for scripts, last in ((True, "location"), (False, "refresh")):
        context = browser.new_context(java_script_enabled=scripts)
        page = context.new_page()
        page.goto(f"{trap.url}/bare", wait_until="commit")
        page.wait_for_url(f"**/{last}")
        context.close()
    caught = set(trap.asked)
    assert {"/script.js", "/sheet.css", "/img.png", "/location", "/refresh"} <= caught


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_an_answer_names_is_asked_for(
    platform: Platform, alice: Person, submit: Submit, trap: Trap, format: str
) -> None:
    job = submit(alice, template=answer(trap, format), context={}, format=format)
    platform.wait_ended(job)
    assert LAST_WORDS in (platform.row(job).raw_response or "")
    page = alice.open(path(job))
    if format in ("html", "markdown"):
        expect(page.frame_locator("iframe").get_by_text(LAST_WORDS)).to_be_visible()
    else:
        expect(page.locator("#tab-result").get_by_text(LAST_WORDS).first).to_be_visible()
    for tab in TABS:
        page.goto(path(job, f"?tab={tab}"))
        page.wait_for_load_state("networkidle")
    if format in ("html", "markdown"):
        page.goto(path(job, "/render"))
        expect(page.get_by_text(LAST_WORDS)).to_be_visible()
        page.goto(path(job, "/render?images=1"))  # none of these is https
        page.wait_for_load_state("networkidle")
    page.goto(path(job, f"/compare/{job.output_id}"))
    page.goto(path(job, "/regenerate"))
    page.wait_for_load_state("networkidle")
    assert trap.asked == []


def test_images_are_loaded_when_asked_for_and_only_then(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    picture = "![a bee](https://pictures.test/bee.svg)"
    job = submit(alice, template=picture, context={}, format="markdown")
    platform.wait_ended(job)
    page = alice.open()
    asked: list[str] = []
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'

    def answer_it(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(content_type="image/svg+xml", body=drawing)

    page.route("https://pictures.test/**", answer_it)
    page.goto(path(job))
    expect(page.frame_locator("iframe").get_by_text("a bee")).to_be_visible()
    assert asked == []
    page.get_by_role("link", name="Load images").click()
    expect(page.frame_locator("iframe").get_by_role("img", name="a bee")).to_be_visible()
    assert asked == ["https://pictures.test/bee.svg"]
    page.get_by_role("link", name="Hide images").click()
    expect(page.frame_locator("iframe").get_by_text("a bee")).to_be_visible()
    assert len(asked) == 1
    assert alice.faults == ["asked https://pictures.test/bee.svg"]
    alice.faults.clear()


def test_the_policy_alone_would_hold(alice: Person, submit: Submit, trap: Trap) -> None:
    """The second wall without the first: the frame's own headers around the raw text."""
    alice.allowed += ["Blocked", "Refused", "violates", "sandboxed", "ERR_", "Unsafe attempt"]
    job = submit(alice, template="Say *so*", context={}, format="markdown")
    page = alice.open(path(job))
    expect(page.frame_locator("iframe").get_by_text("Say so")).to_be_visible()
    headers = page.request.get(path(job, "/render")).headers
    raw = f"<!doctype html><html><head></head>{HTML}{LAST_WORDS}".replace("T/", f"{trap.url}/")
    page.route("**/render*", lambda route: route.fulfill(body=raw, headers=headers))
    for address in (path(job), path(job, "/render")):
        page.goto(address)
        shown = page.frame_locator("iframe") if address == path(job) else page
        expect(shown.get_by_text(LAST_WORDS)).to_be_attached()
        page.wait_for_load_state("networkidle")
    assert trap.asked == []
    alice.faults[:] = [fault for fault in alice.faults if not fault.startswith("asked ")]


def test_words_of_strangers_are_only_words(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`{{7*7}}"
    job = submit(
        alice,
        template=f"{evil} {{{{name}}}}",
        context={"name": evil, evil: evil},
        metadata={evil: evil},
        system=evil,
        options={"stop": evil},
    )
    platform.wait_ended(job)
    with platform.runtime.database.write() as session:
        row = update(LLMOutput).where(LLMOutput.id == job.output_id)
        session.execute(row.values(warnings=[evil], worker=evil, traceparent=f"00-{evil[:20]}-1-1"))
        attempt = update(Attempt).where(Attempt.output_id == job.output_id)
        words = {
            "worker": evil,
            "error_message": evil,
            "error_code": evil[:60],
            "outcome": "retried",
        }
        session.execute(attempt.values({**words, "provider_request_id": evil}))
        feedback.give(session, alice.caller, job.output_id, feedback_type="thumbs_up", comment=evil)
    other = submit(alice)
    platform.wait_ended(other)
    compare = f"/compare/{other.output_id}"
    page = alice.open(path(job))
    page.on("dialog", lambda dialog: alice.faults.append(f"dialog {dialog.message}"))
    for rest in (
        *(f"?tab={tab}" for tab in TABS),
        "/regenerate",
        "/erase",
        compare,
    ):
        page.goto(path(job, rest))
        assert page.locator("img").count() == 0, rest
        assert page.locator("script:not([src])").count() == 0, rest
        assert "onerror=alert(1)" in page.locator("main").inner_text() + page.content(), rest
    page.goto(path(job))
    expect(page.get_by_label("Comment")).to_have_value(evil)
    page.goto(path(job, "?tab=attempts"))
    expect(page.locator(".step").nth(1)).to_contain_text(evil)
    with platform.runtime.database.write() as session:
        failed = {"status": "failed", "error_code": "internal", "error_message": evil}
        session.execute(row.values({**failed, "raw_response": evil}))
    page.goto(path(job))
    expect(page.get_by_text(f"internal: {evil}")).to_be_visible()
    assert page.locator("img").count() == 0
