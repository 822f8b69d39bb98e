"""`GET /v1/models/{id}/values`: what `features` of a distillation can name."""

from typing import Annotated

from fastapi import Query, Request

from app.api import uploads
from app.api.deps import ModelId, Owner, Service
from app.api.pages import Listed, Paged, check_own, encoded, link
from app.api.problems import documented
from app.api.router import Router
from app.api.submission import ready
from winnow.contract.errors import Refusal
from winnow.contract.glob import glob
from winnow.contract.graph_values import GraphValue, graph_values
from winnow.contract.model import ModelFacts

router = Router(prefix="/v1/models", tags=["models"])

Named = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        description="Only values of such names: `*` stands for any text, `?` for one character.",
        examples=["*layer.2*"],
    ),
]


@router.get("/{id}/values", operation_id="list_values", responses=documented("not_found", "model_not_ready"))
def list_values(
    id: ModelId, request: Request, service: Service, owner: Owner, page: Paged, name: Named = None
) -> Listed[GraphValue]:
    """In the order of the graph, inputs first, each with its type, its shape and the operator that computes it."""
    facts = ModelFacts.model_validate(ready(uploads.find(service, owner, "model", id), None).facts)
    if facts.values is None or facts.value_kinds is None:
        raise Refusal("not_found", _why_none(id, facts))
    check_own(page, own := f"value_{id}")
    values = graph_values(facts.values, facts.value_kinds)
    first = 0 if page.after is None else int(page.after[0]) + 1
    wanted = [
        (place, value)
        for place, value in enumerate(values)
        if place >= first and (name is None or glob(name).matches(value.name))
    ]
    shown = wanted[: page.limit]
    more = len(wanted) > len(shown)
    return Listed(
        items=[value for _, value in shown],
        next=link(request, cursor=encoded(float(shown[-1][0]), own)) if more else None,
    )


def _why_none(id: str, facts: ModelFacts) -> str:
    nodes = sum(facts.operators.values())
    why = (
        f"the model has {nodes:,} nodes, too many to keep their values' names"
        if facts.values is None
        else "what is known of them is too much to keep, or an earlier version of the service inspected the model and "
        "did not keep it: then delete the model and upload it again"
    )
    return f"What {id} computes is not listed: {why}. `features` may name what an ONNX viewer shows all the same."
