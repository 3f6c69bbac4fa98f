"""Which network addresses a call may connect to. Pure; asked for the address actually connected to.

Checking a name or a URL is not enough: `127.1`, `2130706433`, IPv6 wrappings and a resolver that
changes its mind all end in an address that looked fine before. Source of the list: the IANA
special-purpose registries (RFC 6890); `ipaddress.is_private` alone misses several of them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_NEVER = _networks(
    "0.0.0.0/8",  # "this host": Linux connects it to loopback
    "169.254.0.0/16",  # link-local: cloud metadata lives here
    "100.100.100.200/32",  # another cloud's metadata
    "168.63.129.16/32",  # and another's host agent
    "192.88.99.0/24",  # retired 6to4 relays
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "::/128",
    "fe80::/10",
    "fec0::/10",
    "fd00:ec2::/32",  # cloud metadata over IPv6
    "ff00::/8",
    "100::/64",  # discard
)

_INTERNAL = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "::1/128",
    "fc00::/7",
    "192.31.196.0/24",  # AS112: answers for private names
    "2001:db8::/32",
    "3fff::/20",  # documentation
)

_GLOBAL_UNICAST = ip_network("2000::/3")

_NAT64 = ip_network("64:ff9b::/96")


def refusal(host: str, *, internal: bool) -> str | None:
    """Why the numeric address `host` may not be connected to, or None if it may.

    `internal` allows loopback and private networks, for models an operator runs next door;
    metadata services, multicast and the like are never allowed. Otherwise only what is routed on
    the public Internet is, so no IPv6 form that wraps an IPv4 address either.
    """
    number = ip_address(host.partition("%")[0])
    address = _innermost(number)
    if _within(address, _NEVER):
        return f"{host} is a reserved or link-local address"
    if internal:
        return None
    if _within(address, _INTERNAL):
        return f"{host} is an internal address"
    return None if _public(number) else f"{host} is not a public address"


def _innermost(address: Address) -> Address:
    """The IPv4 address an IPv6 one stands for, or the address itself."""
    if not isinstance(address, IPv6Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _public(number: Address) -> bool:
    return number.is_global and (number.version == 4 or number in _GLOBAL_UNICAST)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
