"""The chat panel in the page of another site, which hands it passes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform

AROUND = """<!doctype html><title>An application</title><h1>An application</h1>
<iframe id="chat" src="{platform}/embed/chat" width="700" height="600"></iframe>
<script>
  const frame = document.getElementById("chat");
  window.told = [];
  const say = (message) => frame.contentWindow.postMessage(message, "{platform}");
  addEventListener("message", async ({{ origin, source, data }}) => {{
    if (source !== frame.contentWindow || origin !== "{platform}") return;
    window.told.push(data.type);
    if (!["llm-jobs:ready", "llm-jobs:token-wanted"].includes(data.type)) return;
    const pass = await (await fetch("/pass")).json();
    say({{ type: "llm-jobs:page", page: {{ type: "job_code", name: "Load" }} }});
    say({{ type: "llm-jobs:token", token: pass.token, chat_id: pass.chat_id }});
  }});
</script>"""


@dataclass
class Application:
    """Somebody's web application: a page with our frame in it, and its own address for passes."""

    server: ThreadingHTTPServer
    platform: Platform | None = None
    chat_id: int = 0
    passes: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, path: str) -> tuple[str, str]:
        assert self.platform is not None
        if path != "/pass":
            return "text/html", AROUND.format(platform=self.platform.web_url)
        made = self.platform.ask("POST", f"/api/v1/chats/{self.chat_id}/passes").json()
        self.passes.append(made["token"])
        return "application/json", json.dumps(made)


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, text = found.answer(self.path)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Application(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def platform(
    application: Application,
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("embedding")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(
        directory,
        database_url=url,
        web=True,
        chat_model="simulator/echo",
        embed_hosts=application.origin,
        secret_key="a secret of this test",
    ) as found:
        application.platform = found
        yield found


@pytest.fixture
def page(browser: Browser, platform: Platform, application: Application) -> Iterator[Page]:
    said = {"context": {"expression": "fn()", "log": "oops"}}
    application.chat_id = platform.ask("POST", "/api/v1/chats", said).json()["id"]
    context = browser.new_context()
    found, faults = context.new_page(), []
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    found.goto(application.origin)
    yield found
    context.close()
    assert [fault for fault in faults if "401" not in fault] == []


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator("#chat")


def ask(frame: FrameLocator, text: str) -> None:
    box = frame.get_by_label("Message", exact=True)
    box.fill(text)
    box.press("Enter")


def test_one_talks_in_a_frame_of_another_site(page: Page, platform: Platform) -> None:
    frame = frame_of(page)
    frame.get_by_label("Logs").check()
    ask(frame, "What is **bold**?")
    mine = frame.locator(".bubble-mine")
    expect(mine.locator(".bubble-text")).to_have_text("What is **bold**?")
    expect(mine).to_contain_text("job_code / Load")
    expect(mine).to_contain_text("with logs")
    expect(frame.locator(".bubble-answer .prose strong")).to_have_text("bold")
    frame.get_by_role("button", name="Good answer").click()
    expect(frame.get_by_role("button", name="Good answer")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert page.evaluate("window.told") == ["llm-jobs:ready", "llm-jobs:shown"]
    assert page.context.cookies() == []


def test_text_comes_as_it_is_written_and_is_stopped(
    page: Page, platform: Platform, application: Application
) -> None:
    frame = frame_of(page)
    expect(frame.locator("#freshness")).to_have_text("Live")
    said = {"content": "Go on", "model": "simulator/tokens-4000+rate-50"}
    platform.ask("POST", f"/api/v1/chats/{application.chat_id}/messages", said)
    expect(frame.locator("[data-writing]")).to_contain_text("Go on.")
    frame.get_by_role("button", name="Stop").click()
    expect(frame.locator(".bubble-answer")).to_contain_text("Stopped. What was written is kept.")


def test_a_pass_that_is_over_is_asked_for_again(page: Page, application: Application) -> None:
    frame = frame_of(page)
    expect(frame.locator("#freshness")).to_have_text("Live")
    before = len(application.passes)
    page.evaluate(
        """() => document.getElementById("chat").contentWindow.postMessage(
            { type: "llm-jobs:token", token: "over" }, "*")"""
    )
    ask(frame, "Still there?")
    expect(frame.locator(".bubble-answer .prose")).to_contain_text("Still there?")
    assert len(application.passes) > before
    assert "llm-jobs:token-wanted" in page.evaluate("window.told")


def test_another_site_may_neither_frame_it_nor_hand_over_passes(
    page: Page, platform: Platform, application: Application, browser: Browser
) -> None:
    elsewhere = application.origin.replace("127.0.0.1", "localhost")
    context = browser.new_context()
    other = context.new_page()
    other.goto(elsewhere)
    expect(other.get_by_role("heading")).to_have_text("An application")
    other.wait_for_load_state()
    assert "chrome-error" in other.frames[-1].url
    alone = context.new_page()
    alone.goto(f"{platform.web_url}/embed/chat")
    alone.evaluate(
        f"postMessage({{type: 'llm-jobs:token', token: {application.passes[-1]!r},"
        f" chat_id: {application.chat_id}}}, '*')"
    )
    expect(alone.locator("#waiting")).to_be_visible()
    context.close()
