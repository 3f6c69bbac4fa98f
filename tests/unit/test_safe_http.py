"""A URL is refused by its form or by where it leads, whatever disguise the address wears."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest
from yarl import URL

from app.context import safe_http
from app.context.safe_http import Page, check_url, get
from app.errors import ContextUnavailable, InvalidParameter


def leading_to(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    """A resolver that gives these addresses for every name."""

    async def lookup(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return lookup


@pytest.fixture(autouse=True)
def _no_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test here connects to anything."""
    tried: list[object] = []

    def connect(_socket: socket.socket, address: object) -> int:
        tried.append(address)
        raise ConnectionRefusedError("not in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    yield
    assert tried == []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/path?q=1&r=%20#part",
        "https://EXAMPLE.com:443/",
        "https://a.b-c.example.co/x",
        "https://xn--bcher-kva.example/",
        "https://93.184.216.34/",
        "https://[2606:4700::1111]/",
        "https://example.com:/x",
        "https://my_host.example.com/",
    ],
)
def test_plain_https_urls_are_accepted(url: str) -> None:
    assert check_url(url).scheme == "https"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "begin with https://"),
        ("ftp://example.com/", "begin with https://"),
        ("file:///etc/passwd", "begin with https://"),
        ("gopher://example.com/_x", "begin with https://"),
        ("unix:///var/run/docker.sock", "begin with https://"),
        ("data:text/html,x", "begin with https://"),
        ("javascript:alert(1)", "begin with https://"),
        ("//example.com/", "begin with https://"),
        ("example.com", "begin with https://"),
        ("https:example.com", "names no host"),
        ("https:///path", "names no host"),
        ("https://", "names no host"),
        ("", "printable ASCII"),
        ("https://exa mple.com/", "printable ASCII"),
        ("https://example.com/\r\nHost: evil", "printable ASCII"),
        ("https://example.com\\@evil.test/", "printable ASCII"),
        ("https://例え.jp/", "printable ASCII"),
        ("https://①②⑦.⓪.⓪.①/", "printable ASCII"),
        ("https://１２７.0.0.1/", "printable ASCII"),
        ("https://127。0。0。1/", "printable ASCII"),
        ("https://example.com/" + "x" * 2048, "at most 2,048"),
        ("https://user@example.com/", "user or password"),
        ("https://user:secret@example.com/", "user or password"),
        ("https://@example.com/", "user or password"),
        ("https://example.com@127.0.0.1/", "user or password"),
        ("https://example.com:8443/", "port 443"),
        ("https://example.com:80/", "port 443"),
        ("https://example.com:22/", "port 443"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://127.1/", "plainly"),
        ("https://2130706433/", "plainly"),
        ("https://0x7f000001/", "plainly"),
        ("https://0x7f.0.0.1/", "plainly"),
        ("https://017700000001/", "plainly"),
        ("https://0177.0.0.1/", "plainly"),
        ("https://127.0.0.01/", "plainly"),
        ("https://0/", "plainly"),
        ("https://localhost./", "plainly"),
        ("https://example.com./", "plainly"),
        ("https://127.0.0.1./", "plainly"),
        ("https://ex%61mple.com/", "plainly"),
        ("https://-x.com/", "plainly"),
        ("https://a..b/", "plainly"),
        ("https://*.example.com/", "plainly"),
        ("https://example.com,evil.test/", "plainly"),
        ("https://example.com&@evil/", "user or password"),
        ("https://localhost/", "internal name"),
        ("https://redis/", "internal name"),
        ("https://LOCALHOST/", "internal name"),
    ],
)
def test_other_forms_are_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_url(url)

    assert reason in caught.value.message
    assert "secret" not in caught.value.message


PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:7f00:1",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::7f00:1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_that_is_not_public_is_accepted_as_a_host(address: str) -> None:
    host = f"[{address}]" if ":" in address else address

    with pytest.raises(InvalidParameter, match="The URL"):
        check_url(f"https://{host}/")


@pytest.mark.parametrize("address", PRIVATE)
def test_no_name_that_leads_to_such_an_address_is_connected_to(address: str) -> None:
    with pytest.raises(ContextUnavailable, match=r"page\.test may not be connected to"):
        asyncio.run(get("https://page.test/", lookup=leading_to(address)))


def test_one_bad_address_among_good_ones_is_enough() -> None:
    for addresses in (["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "2606:4700::1111"]):
        with pytest.raises(ContextUnavailable, match="may not be connected to"):
            asyncio.run(get("https://page.test/", lookup=leading_to(*addresses)))


def test_a_name_that_changes_its_mind_is_checked_anew_each_time() -> None:
    answers = iter([["169.254.169.254"], ["10.0.0.1"]])
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    for _ in range(2):
        with pytest.raises(ContextUnavailable, match="may not be connected to"):
            asyncio.run(get("https://page.test/", lookup=rebinding))
    assert asked == ["page.test", "page.test"]


def test_the_address_connected_to_is_checked_even_if_nothing_before_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safe_http, "check_url", lambda url, **_: URL(url))

    with pytest.raises(ContextUnavailable, match="may not be connected to"):
        asyncio.run(get("https://127.0.0.1/"))


def test_a_name_without_an_address_says_so() -> None:
    async def nowhere(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ContextUnavailable, match=r"page\.test has no address"):
        asyncio.run(get("https://page.test/", lookup=nowhere))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:11434/api",
        "http://localhost:8000/",
        "https://10.0.0.5:8443/",
        "http://wiki/",
        "http://[::1]:8000/",
        "http://[fd12::1]/",
    ],
)
def test_an_internal_url_may_be_on_our_own_network(url: str) -> None:
    assert str(check_url(url, internal=True)) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://user@127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
    ],
)
def test_not_even_an_internal_url_may_be_these(url: str) -> None:
    with pytest.raises(InvalidParameter):
        check_url(url, internal=True)


def test_not_even_an_internal_name_may_lead_to_the_metadata_service() -> None:
    with pytest.raises(ContextUnavailable, match="may not be connected to"):
        asyncio.run(get("http://wiki/", internal=True, lookup=leading_to("169.254.169.254")))


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": [1]}', {"a": [1]}), ("3", 3), ("", None), ("<html>", None), ("NaN", None)],
)
def test_a_page_is_read_as_json_when_it_is(text: str, value: object) -> None:
    assert Page(text, "text/plain").json == value
