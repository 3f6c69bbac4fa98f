"""What holds on every page there is: no way leads nowhere, and each can be asked for without it."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from werkzeug.test import TestResponse

from tests.api.house import House
from tests.api.page_lines import ADMINISTRATORS, LINES, OWN_HEADERS, PAGES, address
from tests.api.visiting import Visitor, signed_in, visitor

#: GET addresses that answer with a part of a page, or send one on.
PARTS = {"home", "task", "choose_other", "outputs_summary", "outputs_rows", "one_answer"}
PARTS |= {"platform_health", "suggested_words", "chat_availability", "chat_thread"}
WHOLE = sorted(
    name
    for name, page in PAGES.items()
    if page.method == "GET" and name not in PARTS and name not in OWN_HEADERS
)
#: Questions before an act and the way in: nothing the API would show.
NO_VIEW = {
    "sign_in_form",
    "ask_pause",
    "ask_retry",
    "ask_revoke_own_key",
    "ask_revoke_any_key",
    "erase_form",
    "outputs_many",
    "regenerate_form",
}
VIEWS = [name for name in WHOLE if name not in NO_VIEW]
TO_COME = ("batch", "webhook")


class _Tags(HTMLParser):
    """Every start tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def opened(house: House, name: str) -> tuple[Visitor, TestResponse]:
    """A page as ada sees it, who administrates; as alice sees it where the row is hers alone."""
    path = address(house, PAGES[name])
    if name == "outputs_many":
        path += f"?act=cancel&id={house.submit()['output_id']}"
    who = house.ada if LINES[name] is ADMINISTRATORS else house.alice
    one = visitor(house) if name == "sign_in_form" else signed_in(house, who)
    if name == "submit":
        path += "?template=Explain+{{x}}&model=gpt-4"
    answer = one.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return one, answer


@pytest.mark.parametrize("name", WHOLE)
def test_no_link_leads_nowhere(fresh: House, name: str) -> None:
    one, answer = opened(fresh, name)
    links = {attrs.get("href") or "" for tag, attrs in _Tags(answer.text).found if tag == "a"}
    assert links
    for link in links:
        assert not any(word in link.lower() for word in TO_COME), link
        if link.startswith(("#", "/llm_outputs/export")):
            continue
        assert link.startswith("/"), f"{link} leads away"
        found = one.get(link.partition("#")[0], follow_redirects=True)
        assert found.status_code < 400, f"{link}: {found.status_code}"
        found.close()


@pytest.mark.parametrize("name", WHOLE)
def test_every_page_has_its_name_landmarks_and_table_heads(fresh: House, name: str) -> None:
    text = opened(fresh, name)[1].text
    tags = _Tags(text).found
    title = re.search(r"<title>(.*?) · LLM Jobs</title>", text)
    assert title
    assert unescape(title[1]).strip()
    assert [tag for tag, _ in tags].count("h1") == 1
    assert [tag for tag, _ in tags].count("main") == 1
    assert all("scope" in attrs for tag, attrs in tags if tag == "th")
    assert all(attrs.get("datetime") for tag, attrs in tags if tag == "time")


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_says_how_to_ask_for_it_without_a_browser(fresh: House, name: str) -> None:
    text = opened(fresh, name)[1].text
    assert 'data-show-dialog="api-calls"' in text
    dialog = re.search(r'<dialog class="dialog" id="api-calls".*?</dialog>', text, re.S)
    assert dialog
    assert "curl &#39;http" in dialog[0] or "curl http" in dialog[0] or "llm-jobs " in dialog[0]


@pytest.mark.parametrize("name", sorted(set(VIEWS) - {"submit", "effective_settings", "limits"}))
def test_what_the_button_says_is_answered(fresh: House, name: str) -> None:
    text = opened(fresh, name)[1].text
    curl = re.search(r"<code>(curl .*?)</code>", text, re.S)
    assert curl
    whole = re.search(r"https?://[^/\s]+(/[^\s\\']*)", unescape(curl[1]))
    assert whole
    who = fresh.ada if LINES[name] is ADMINISTRATORS else fresh.alice
    for path in each(whole[1]):
        answer = fresh.get(path, as_=who)
        assert answer.status_code in (200, 503 if path == "/readyz" else 200), path


def each(path: str) -> list[str]:
    """The addresses that curl makes of `…/{1,2}`."""
    found = re.fullmatch(r"(.*)\{(.*)\}", path)
    return [found[1] + part for part in found[2].split(",")] if found else [path]
