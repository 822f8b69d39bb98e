"""What a model's nodes are computed in by the runtime that measured it, after its own optimization."""

from pydantic import Field

from winnow.contract.base import ResponseModel


class Kernels(ResponseModel):
    """What one model runs as. Of nodes the three shares add up to 1, of multiply-accumulates the two."""

    nodes: int = Field(description="Nodes that the runtime computes, after its own optimization.")
    integer_nodes: float = Field(
        description="Share of the nodes that compute in integers of at most 8 bits, from 0 to 1."
    )
    float_nodes: float = Field(description="Share of the nodes that compute in floats, from 0 to 1.")
    other_nodes: float = Field(
        description="Share of the nodes that only move, look up or convert numbers, or count, from 0 to 1."
    )
    integer_macs: float | None = Field(
        description="Share of the multiply-accumulates in integers of at most 8 bits, from 0 to 1; null where there "
        "are none, or not all of them can be told."
    )
    float_macs: float | None = Field(
        description="Share of the multiply-accumulates in floats, from 0 to 1; null as `integer_macs` is."
    )
    float_types: list[str] = Field(
        description="The types of floats that nodes compute in, that with the most work first."
    )
    products: dict[str, int] = Field(
        description="Nodes with multiply-accumulates, by what the runtime calls the operator."
    )


class Arithmetic(ResponseModel):
    """What really runs: a weight stored as integers is often multiplied as a float."""

    runtime: str = Field(description="The runtime that measured, and that this was read from.")
    before: Kernels | None = Field(description="Of the model as uploaded; null where it could not be told.")
    after: Kernels | None = Field(description="Of the result; null where it could not be told.")
    says: str = Field(description="The fact in a sentence or two, or why there is none.")
