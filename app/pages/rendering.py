"""Templates to answers. Every value is escaped, and every address relative: a proxy may put a path before ours."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.pages import charts, words
from app.pages.assets import MODULES, VERSION
from winnow.contract import units

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
"""No script can make HTML of a text; `data:` is there for the pictures of a preview, which are PNG (`Preview`)."""
HEADERS: Final = {"content-security-policy": POLICY, "vary": "accept, cookie"}


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A whole page. The templates' common values are the way to the root, and who looks at it."""
    caller = getattr(request.state, "caller", None)
    common = {
        "root": root_of(request.scope["raw_path"].decode("latin-1")),
        "path": request.scope["path"],
        "assets": f"assets/{VERSION}",
        "signed_in": caller is not None and caller.session is not None,
        "owner": None if caller is None or caller.key is None else caller.owner,
        "may_write": caller is None or "write" in caller.scopes,
    }
    content = environment().get_template(template).render(**common, **values)
    return HTMLResponse(content, status, HEADERS)


def root_of(path: str) -> str:
    """`/` → `./`, `/jobs/x` → `../`: from a page to the service's first address. Of the path as it was sent: a `/` that
    came as `%2F` is none to a browser."""
    return "../" * (path.count("/") - 1) or "./"


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= FILTERS
    made.globals |= {"charts": charts, "modules": MODULES}
    return made


FILTERS: Final[Mapping[str, Any]] = {
    "bytes": lambda count: "-" if count is None else units.size(count),
    "count": units.count,
    "times": units.times,
    "ms": units.milliseconds,
    "number": units.number,
    "change": units.change,
    "asked_and_measured": lambda it: units.asked_and_measured(it.name, it.asked, it.measured, it.interval),
    "rate": units.rate,
    "duration": units.duration,
    "metric": lambda value, name, interval=None: units.metric(name, value, interval),
    **words.FILTERS,
}
