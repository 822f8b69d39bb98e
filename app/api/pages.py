"""Lists in pages: newest first, a link to the next page, an opaque cursor, which is of one list alone."""

import base64
import binascii
import json
import math
from collections.abc import Callable
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends, Query, Request
from pydantic import Field

from app.api.examples import CURSOR
from app.api.text import WRITTEN_WHOLE
from app.storage.ids import Hashed, Prefix
from app.storage.records import Dated, Job, Page, Trial, Upload
from winnow.contract.base import ResponseModel
from winnow.contract.errors import Refusal

AT_ONCE: Final = 20
"""Rows read together: so many may be large before it is noticed."""
MAX_WEIGHT: Final = 100_000
"""Values of one page: it takes less than a second to write."""
VALUE_CHARACTERS: Final = 50
"""Of a text that weigh as much as a value."""

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Dated)


class Listed(ResponseModel, Generic[Item]):
    """`next` is the address of the next page, null on the last."""

    items: list[Item] = Field(description="One page, in order.")
    next: str | None = Field(description="Address of the next page; null on the last.")


async def _page(
    limit: Annotated[
        int, Query(ge=1, le=200, description="Items in one page, at most.", examples=[50]), WRITTEN_WHOLE
    ] = 50,
    cursor: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            pattern="^[A-Za-z0-9_-]+$",
            description="From the `next` link of the page before.",
            examples=[CURSOR],
        ),
    ] = None,
) -> Page:
    return Page(limit=limit, after=None if cursor is None else decoded(cursor))


Paged = Annotated[Page, Depends(_page)]


def by_time(row: Dated) -> tuple[float, str]:
    return row.created_at, row.id


def listed(
    request: Request,
    page: Page,
    kind: Prefix | Hashed,
    fetch: Callable[[Page], list[Row]],
    show: Callable[[list[Row]], list[Item]],
    place: Callable[[Row], tuple[float, str]] = by_time,
) -> tuple[list[Item], str | None]:
    """The items of a page, and the link to the next one. Where rows are large, a page has fewer than were asked for.

    `kind` is that of the rows' ids. `show` gets all rows, to look up in one query what they need besides. `place` is a
    row's in the order of the list. Raises `invalid_request` for a cursor of another list.
    """
    check_own(page, f"{kind}_")
    rows, weight = list[Row](), 0
    while weight <= MAX_WEIGHT and (wanted := min(page.limit + 1 - len(rows), AT_ONCE)):
        more = fetch(Page(limit=wanted, after=place(rows[-1]) if rows else page.after))
        rows += more
        weight += sum(map(_weight, more))
        if len(more) < wanted:
            return show(rows), None
    *shown, _ = rows  # there is another one
    return show(shown), link(request, cursor=encoded(*place(shown[-1])))


def _weight(row: object) -> int:
    """How many values a row holds, a long text as several: a model may have 20,000 layers, a job many patterns."""
    match row:
        case Upload():
            return _values(row.facts) + _values(row.declaration)
        case Job():
            return _values(row.request)
        case Trial():
            return _values(row.recipe) + _values(row.result)
        case _:
            return 1


def _values(value: Any) -> int:
    match value:
        case str():
            return 1 + len(value) // VALUE_CHARACTERS
        case dict():
            return 1 + sum(len(name) // VALUE_CHARACTERS + _values(inner) for name, inner in value.items())
        case list() | tuple():
            return 1 + sum(map(_values, value))
        case _:
            return 1


def link(request: Request, **changes: object) -> str:
    """This address with other parameters; relative, because a proxy may know the host by another name."""
    kept = [(name, text) for name, text in request.query_params.multi_items() if name not in changes]
    return f"{quote(request.scope['path'])}?{urlencode([*kept, *changes.items()])}"


def check_own(page: Page, own: str) -> None:
    """Raises `invalid_request` for a cursor of another list: its id does not begin with `own`."""
    if page.after is not None and not page.after[1].startswith(own):
        raise Refusal(
            "invalid_request",
            f"The cursor {encoded(*page.after)!r} is that of another list. Follow the `next` link of this one, or "
            "leave it out.",
            field="cursor",
        )


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
