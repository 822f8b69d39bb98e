"""`/steps` and `/steps/{kind}`: what a recipe can consist of, and its settings as fields of a form."""

from functools import cache
from typing import Annotated, Any

from fastapi import Path, Request, Response

from app.pages.forms.setting_fields import fields_of
from app.pages.rendering import page
from app.pages.router import page_router
from winnow.cli import steps
from winnow.cli.settings import KINDS, no_kind
from winnow.contract.errors import Refusal

router = page_router()


@router.get("/steps")
def show_steps(request: Request) -> Response:
    return page(request, "steps.html", kinds=[_step(kind) for kind in KINDS])


@router.get("/steps/{kind}")
def show_step(
    request: Request, kind: Annotated[str, Path(max_length=100, description="Of the step.")]
) -> Response:
    """The fields are templates, for the form of a recipe."""
    if kind not in KINDS:
        raise Refusal("not_found", no_kind(kind))
    return page(request, "step.html", step=_step(kind), fields=fields_of(kind))


@cache
def _step(kind: str) -> dict[str, Any]:
    """A kind of step with its settings, as `winnow steps` tells them."""
    step = KINDS[kind]
    return {
        "kind": kind,
        "does": steps.first_sentence(step),
        "needs": steps.needed_in_words(step),
        "settings": [
            {
                "name": name,
                "value": steps.kind_of_value(field.annotation),
                "default": steps.default(field),
                "says": field.description,
            }
            for name, field in steps.settings(step)
        ],
    }
