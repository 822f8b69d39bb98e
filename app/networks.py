"""Addresses that the service may connect to when somebody else names them: the public ones, and those of networks that
the operator lists in `WINNOW_WEBHOOK_PRIVATE`."""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

NONE: Final = "false"
EVERYTHING: Final = "true"
_WITH_IPV4_INSIDE: Final = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96")))
"""IPv4-compatible, IPv4-mapped, NAT64: the last 32 bits are the address that is meant."""
_LOOPBACK: Final = IPv4Address("127.0.0.1")


def parse_networks(text: str) -> Networks:
    """Read `false` (none), `true` (all) or `10.0.0.0/8, fd00::/8`. Raises `ValueError` with a sentence."""
    match text.strip().lower():
        case "" | "false":
            return ()
        case "true":
            return (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    try:
        return tuple(ip_network(entry.strip()) for entry in text.split(",") if entry.strip())
    except ValueError as error:
        raise ValueError(
            f"expected `false`, `true`, or networks separated by commas, such as `10.0.0.0/8, fd00::/8`; {error}"
        ) from error


def may_reach(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether it is public, or in one of the networks. An IPv4 address inside of an IPv6 address counts as itself."""
    meant = _meant(address)
    return _is_public(meant) or any(one in network for one in (address, meant) for network in networks)


def spelled(host: str) -> Address | None:
    """The address that a host of an URL spells, as the C library reads it (`0x7f.1` and `2130706433`, too); `localhost`
    spells loopback (RFC 6761). None for a name that has to be looked up."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return ip_address(bare)
    except ValueError:
        pass
    if bare == "localhost" or bare.endswith(".localhost"):
        return _LOOPBACK
    try:
        return IPv4Address(socket.inet_aton(bare))
    except OSError:
        return None


def _is_public(address: Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _meant(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network in _WITH_IPV4_INSIDE):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address
