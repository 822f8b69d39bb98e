"""Whether a request is a browser's that wants a page: it names `text/html` in Accept. `*/*` alone is a program."""

from typing import Final

from fastapi import Request
from starlette.datastructures import Headers

from winnow.contract.errors import Refusal

HTML: Final = "text/html"


def wants_html(headers: Headers) -> bool:
    """A quality of 0 says that it is not wanted (RFC 9110, 12.5.1)."""
    return any(_is_html(part) for line in headers.getlist("accept") for part in line.split(","))


def _is_html(media_range: str) -> bool:
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    return name == HTML and not any(part.startswith("q=") and _is_zero(part[2:]) for part in parameters)


def _is_zero(quality: str) -> bool:
    try:
        return float(quality) == 0
    except ValueError:
        return False


async def html_only(request: Request) -> None:
    """Raises `not_found` for programs, to which the API's addresses are the only ones."""
    if not wants_html(request.headers):
        raise Refusal(
            "not_found",
            "There is a page here for browsers (Accept: text/html); programs use the addresses below /v1, see /docs.",
        )
