"""The values of a model's graph: what `features` of a distillation can name."""

from collections.abc import Sequence

from pydantic import Field

from winnow.contract.base import ResponseModel


class ValueKind(ResponseModel):
    """What many values of a graph have in common."""

    dtype: str = Field(description="Type of its elements, as numpy names it.")
    shape: list[int | str | None] | None = Field(
        description="One entry for each dimension, as in the model's inputs; null where not even their number is known."
    )
    operator: str | None = Field(description="The ONNX operator that computes it; null for an input.")


class GraphValue(ValueKind):
    """One value: an input of the graph, or an output of one of its nodes."""

    name: str = Field(description="Its name in the graph.")


class ValueKinds(ResponseModel):
    """Kinds, and of each value the place of its own among them: a graph of thousands of values has tens of kinds."""

    kinds: list[ValueKind] = Field(description="Each kind once.")
    of: list[int] = Field(description="One entry for each value, in the order of their names.")


def graph_values(names: Sequence[str], kinds: ValueKinds) -> list[GraphValue]:
    """Every value with its name."""
    described = zip(names, kinds.of, strict=True)
    return [GraphValue(name=name, **dict(kinds.kinds[place])) for name, place in described]
