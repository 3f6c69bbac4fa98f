"""Which addresses a call may connect to."""

from __future__ import annotations

import pytest

from app.addresses import refusal

NEVER = (
    *("0.0.0.0", "0.1.2.3", "169.254.169.254", "100.100.100.200", "168.63.129.16"),
    *("192.88.99.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "fe80::1%eth0"),
    *("fd00:ec2::254", "ff02::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    "2002:a9fe:a9fe::",
)
INSIDE = (
    *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("198.18.0.1", "::1", "fd12::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    *("::ffff:10.0.0.1", "192.0.2.1", "203.0.113.9", "2001:db8::1"),
)
OUTSIDE = (
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1",
)


@pytest.mark.parametrize("address", NEVER)
def test_reserved_addresses_are_refused_even_inside(address: str) -> None:
    assert refusal(address, internal=True)
    assert refusal(address, internal=False)


@pytest.mark.parametrize("address", INSIDE)
def test_internal_addresses_need_permission(address: str) -> None:
    assert refusal(address, internal=True) is None
    assert refusal(address, internal=False) == f"{address} is an internal address"


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_allowed(address: str) -> None:
    assert refusal(address, internal=True) is None
    assert refusal(address, internal=False) is None


WRAPPED = ("::ffff:1.1.1.1", "::7f00:1", "64:ff9b:1::1", "::ffff:0:127.0.0.1", "5f00::1")


@pytest.mark.parametrize("address", WRAPPED)
def test_only_what_the_public_internet_routes_is_outside(address: str) -> None:
    assert refusal(address, internal=False) == f"{address} is not a public address"
