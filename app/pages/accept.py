"""Which requests the pages are for."""

from fastapi import Request

from app.api.accept import wants_html
from winnow.contract.errors import Refusal


async def html_only(request: Request) -> None:
    """Raises `not_found` for programs, to which the API's addresses are the only ones."""
    if not wants_html(request.headers):
        raise Refusal(
            "not_found",
            "There is a page here for browsers (Accept: text/html); programs use the addresses below /v1, see /docs.",
        )
