"""Lists in pages: newest first, a link to the next page, an opaque cursor."""

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request

from app.contract.base import Told
from app.contract.errors import Refusal
from app.storage.records import Leased, Page

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Leased)


class Listed(Told, Generic[Item]):
    """`next` is the address of the next page, null on the last."""

    items: list[Item]
    next: str | None


async def _page(
    limit: Annotated[int, Query(ge=1, le=200, description="Items in one page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=200, description="From the `next` link of the page before.")
    ] = None,
) -> Page:
    return Page(limit=limit, after=None if cursor is None else decoded(cursor))


Paged = Annotated[Page, Depends(_page)]


def listed(
    request: Request, page: Page, fetch: Callable[[Page], list[Row]], show: Callable[[list[Row]], list[Item]]
) -> tuple[list[Item], str | None]:
    """One row more than asked tells whether there is a next page. `show` gets them all, to look up in one query what
    they need besides."""
    rows = fetch(Page(limit=page.limit + 1, after=page.after))
    return show(rows[: page.limit]), _next(request, page, rows)


def _next(request: Request, page: Page, rows: Sequence[Leased]) -> str | None:
    if len(rows) <= page.limit:
        return None
    last = rows[page.limit - 1]
    return link(request, cursor=encoded(last.created_at, last.id))


def link(request: Request, **changes: object) -> str:
    """This address with other parameters; relative, because a proxy may know the host by another name."""
    url = request.url.include_query_params(**changes)
    return f"{url.path}?{url.query}"


def encoded(created_at: float, id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([created_at, id]).encode()).decode().rstrip("=")


def decoded(cursor: str) -> tuple[float, str]:
    """Raises `invalid_request`."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        created_at, id = json.loads(raw)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise _unknown(cursor) from None
    if (
        type(created_at) is not float
        or not math.isfinite(created_at)
        or type(id) is not str
        or not id.isidentifier()
    ):
        raise _unknown(cursor)
    return created_at, id


def _unknown(cursor: str) -> Refusal:
    return Refusal(
        "invalid_request",
        f"The cursor {cursor!r} is none of ours. Follow the `next` link of a list, or leave it out.",
        field="cursor",
    )
