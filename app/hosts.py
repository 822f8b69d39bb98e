"""Hosts as they stand in `Host` and `Origin`, and the patterns of `WINNOW_ALLOWED_HOSTS`.

A host is kept in one spelling: lower case, without the dot that ends a full name, IPv6 shortened and in brackets.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

ANY: Final = "*"
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{0,5}))?")
_EVERY_ADDRESS: Final = ("", "0.0.0.0", "::")  # noqa: S104
_LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]"})
LONGEST_NAME: Final = 253


@dataclass(frozen=True)
class Authority:
    """`host[:port]`; `port` is None where none is named."""

    host: str
    port: int | None


def parse_authority(text: str) -> Authority:
    """Read `localhost:8000` or `[::1]`. Raises `ValueError` for all else: user names, paths, zones, spaces."""
    parts = _AUTHORITY.fullmatch(text) if text.isascii() else None
    if parts is None:
        raise ValueError(f"{text!r} is not host[:port]")
    port = int(parts[2]) if parts[2] else None
    if port is not None and port > 65535:
        raise ValueError(f"{port} is no port")
    return Authority(parse_host(parts[1]), port)


def parse_host(text: str) -> str:
    """The one spelling of a name or an address (IPv6 with or without brackets). Raises `ValueError`."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        return f"[{IPv6Address(bare)}]" if "%" not in bare else _no_host(text)
    name = text.lower().removesuffix(".")
    return name if len(name) <= LONGEST_NAME and _NAME.fullmatch(name) else _no_host(text)


def parse_patterns(text: str) -> frozenset[str]:
    """Read `localhost, *.example.com, [::1]`; `*` is every host. Raises `ValueError` with a sentence."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    try:
        return frozenset(_parse_pattern(entry) for entry in entries)
    except ValueError as error:
        raise ValueError(
            f"expected host names or addresses without ports, separated by commas, `*.` before a name for all names "
            f"below it, such as `localhost, winnow.example.com, *.example.com, [::1]`; {error}"
        ) from error


def names_of(bound: str) -> frozenset[str]:
    """What a service that listens on `bound` is called by that: by loopback's where it is every address."""
    return _LOOPBACK if bound in _EVERY_ADDRESS else frozenset({parse_host(bound)})


def is_loopback(bound: str) -> bool:
    """Whether a service that listens on `bound` is reached from this machine alone."""
    try:
        return bound == "localhost" or ip_address(bound).is_loopback
    except ValueError:
        return False


def is_allowed(host: str, patterns: Collection[str]) -> bool:
    """Whether a parsed host is one of the patterns, or below one that begins with `*.`."""
    above = (f"*.{host[dot + 1 :]}" for dot, character in enumerate(host) if character == ".")
    return ANY in patterns or host in patterns or any(pattern in patterns for pattern in above)


def is_address(host: str) -> bool:
    """Whether a parsed host is an IP address: no name server had a say in what it leads to."""
    try:
        return host.startswith("[") or bool(IPv4Address(host))
    except AddressValueError:
        return False


def _parse_pattern(entry: str) -> str:
    if entry == ANY:
        return ANY
    below = entry.startswith("*.")
    return ("*." if below else "") + parse_host(entry[2:] if below else entry)


def _no_host(text: str) -> str:
    raise ValueError(f"{text!r} is no host name or address")
