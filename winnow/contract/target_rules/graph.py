"""A graph as rules see it: its nodes, each with what is known of the values that it reads."""

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field

from winnow.contract.base import ResponseModel

AttributeValue = int | float | str | list[int]

STANDARD: Final = frozenset({"", "ai.onnx"})
"""Names of ONNX's own domain."""


class NodeInput(ResponseModel):
    """A value that a node reads. `rank` and `open` are null where its shape is not known."""

    dtype: str | None = Field(
        description="Type of its elements, as numpy names it; null where it is not known."
    )
    rank: int | None = Field(description="How many dimensions it has; null where that is not known.")
    open: bool | None = Field(
        description="Whether a dimension has no fixed size; null where that is not known."
    )
    constant: Literal["no", "stored", "dequantized"] = Field(
        description="Whether it lies in the file, as it is or as integers behind a DequantizeLinear."
    )
    size: int | None = Field(
        default=None, description="How many numbers a stored constant has; null for others."
    )
    zero: bool | None = Field(
        default=None,
        description="Whether a stored constant is all zeros; null for others, and for large ones.",
    )


class NodeKind(ResponseModel):
    """What many nodes of a graph have in common."""

    operator: str = Field(description="Its operator, behind its domain where that is not ONNX's own.")
    attributes: dict[str, AttributeValue] = Field(description="Its attributes that are numbers or words.")
    inputs: list[NodeInput | None] = Field(description="What it reads; null for an input that is left out.")
    outputs: list[bool] = Field(description="Whether each of its outputs is there.")
    readers: list[str] = Field(description="Operators that read its outputs, each once.")
    nested: bool = Field(description="Whether it stands in a branch or a loop.")

    def input_at(self, index: int) -> NodeInput | None:
        """None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None


class OpenInput(ResponseModel):
    """An input of the graph with dimensions that vary."""

    name: str = Field(description="Its name.")
    dimensions: list[str] = Field(description="Names of these dimensions; `?` where one has none.")


class CheckedGraph(ResponseModel):
    """Each kind of node once, and of each node its name and the place of its kind."""

    opset: int = Field(description="Version of ONNX's operators; 1 where the file names none.")
    open_inputs: list[OpenInput] = Field(description="The inputs whose shape is not fixed.")
    functions: list[str] = Field(
        description="Operators that the file itself defines; these are not looked into."
    )
    kinds: list[NodeKind] = Field(description="Each kind of node once.")
    names: list[str] = Field(description="One for each node; empty where it has none.")
    of: list[int] = Field(description="One entry for each node: the place of its kind.")

    @property
    def nodes(self) -> Iterator[tuple[str, NodeKind]]:
        return ((name, self.kinds[place]) for name, place in zip(self.names, self.of, strict=True))
