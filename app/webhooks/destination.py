"""Whether a webhook's URL is one that this service may send to, as far as can be told without looking up its name."""

import re
from typing import Final
from urllib.parse import urlsplit

from app.hosts import Authority, parse_authority
from app.networks import Networks, may_reach, spelled
from winnow.contract.errors import Refusal

SCHEMES: Final = ("https", "http")
NOT_ALLOWED: Final = (
    "Webhooks are sent to public addresses only; the operator of this service may allow others with "
    "WINNOW_WEBHOOK_PRIVATE."
)
_PRINTABLE: Final = re.compile("[!-~]+")


def check_url(url: str, networks: Networks, field: str = "url") -> None:
    """Raises `invalid_request` and `address_not_allowed`. What a name leads to is checked with every connection."""
    try:
        host = _authority(url).host
    except ValueError as error:
        detail = f"{url[:200]!r} is no address for a webhook: {error}. Expected `https://host[:port]/path`."
        raise Refusal("invalid_request", detail, field=field) from None
    address = spelled(host)
    if address is not None and not may_reach(address, networks):
        raise Refusal("address_not_allowed", f"{host} is no public address. {NOT_ALLOWED}", field=field)


def _authority(url: str) -> Authority:
    """Raises `ValueError` with a clause that says why."""
    if not _PRINTABLE.fullmatch(url):
        raise ValueError("it has characters that an URL has to write as %XX, or in a host name as xn--…")
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError("it does not begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("a user name or password has no place in it")
    if "#" in url:
        raise ValueError("a fragment (#…) is never sent")
    return parse_authority(parts.netloc)
