"""What can be known of a target: the model of `data/NAME.toml`. What is absent there is not known."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from winnow.contract.base import ResponseModel

Source = Annotated[str, StringConstraints(pattern=r"^https://\S+$", max_length=300)]
Says = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Operator = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z.]*\.)?[A-Z]\w*$")]
"""As in a graph: `Conv`, `com.microsoft.FusedConv`."""
Effect = Literal["falls_back", "refused", "slower"]
"""What becomes of a node: another processor computes it, the whole file is not loaded, or it runs and costs time."""


class Fact(ResponseModel):
    """Something that the runtime's documentation, source or maintainers say."""

    says: Says = Field(description="The fact, in a sentence.")
    source: Source = Field(description="Where it is said.")


class Otherwise(Fact):
    """What becomes of what the target does not take."""

    effect: Literal["falls_back", "refused"] = Field(description="Of the node, or of the whole file.")


class Shapes(Fact):
    """What dimensions that vary do."""

    effect: Effect = Field(description="Of an input whose shape is not fixed.")


class Opsets(Fact):
    """Versions of ONNX's operators that are said to be supported."""

    first: int = Field(description="The lowest one.")
    last: int = Field(description="The highest one.")


class Activations(Fact):
    """What QuantizeLinear may make, and what DequantizeLinear may read that is computed."""

    types: list[str] = Field(description="Types of the integers, as numpy names them.")
    zero_points: Literal["any", "zero"] = Field(description="Whether zero points may differ from 0.")
    per_channel: bool | None = Field(
        default=None, description="Whether there may be a scale for each channel; null: not known."
    )


class Weights(Fact):
    """What DequantizeLinear may read that is stored, biases left out."""

    types: list[str] = Field(description="Types of the integers, as numpy names them.")
    types_of: dict[Operator, list[str]] = Field(
        default_factory=dict, description="Types that a reader takes, where these are others."
    )
    zero_points: Literal["any", "zero"] | None = Field(
        default=None, description="Whether zero points may differ from 0; null: not known."
    )


class PerChannel(Fact):
    """Where weights may have a scale for each channel."""

    axes: dict[Operator, int] | None = Field(
        default=None,
        description="Operator → the only axis of its weight that may count the channels; null: any operator, any axis.",
    )


class Bias(Fact):
    """How a quantized layer's bias is stored."""

    types: list[str] = Field(
        description="Types, as numpy names them; `float32` for one that is not quantized."
    )


class SixteenBit(Fact):
    """Whether activations of 16 bits are taken."""

    taken: bool = Field(description="Whether they are.")


class Attribute(ResponseModel):
    """Values that an attribute may have; a list of numbers where each of these has to be among them."""

    one_of: list[int | str] = Field(description="The values that are taken.")
    default: int | str | None = Field(default=None, description="What ONNX takes where it is left out.")


class OperatorRule(ResponseModel):
    """Limits of an operator. Of several the first that a node breaks is told."""

    first_opset: int | None = Field(default=None, description="The lowest opset of the model.")
    last_opset: int | None = Field(default=None, description="The highest opset of the model.")
    spatial: list[int] | None = Field(
        default=None, description="Numbers of spatial dimensions that are taken."
    )
    rank: list[int] | None = Field(default=None, description="Numbers of dimensions of the first input.")
    constant: list[int] = Field(default_factory=list, description="Inputs that have to be constants, from 0.")
    attributes: dict[str, Attribute] = Field(default_factory=dict, description="Attributes and their values.")
    types: dict[int, list[str]] = Field(default_factory=dict, description="Input → types that are taken.")
    outputs: int | None = Field(default=None, description="How many outputs may be used, the first ones.")
    unchecked: Says | None = Field(default=None, description="A limit that is told and not checked.")
    source: Source | None = Field(default=None, description="Where the limits are said; null: with the list.")


class Operators(Fact):
    """The operators that are taken: those of `taken`, where these are known, and no others."""

    domains: list[str] | None = Field(
        default=None, description="Domains of operators that are taken; null: any."
    )
    taken: dict[Operator, OperatorRule] | None = Field(default=None, description="Operator → its limits.")
    dequantized_constants: bool = Field(
        default=True, description="Whether integers behind a DequantizeLinear are constants for these limits."
    )


class TargetRules(ResponseModel):
    """What a target takes; null where it was not found out."""

    name: str = Field(description="The target, as jobs call it.")
    title: Says = Field(description="What it is.")
    as_of: Says = Field(description="The version that the facts are of.")
    otherwise: Otherwise = Field(description="What becomes of the rest.")
    operators: Operators | None = Field(
        default=None, description="Operators, with limits of attributes and types."
    )
    opsets: Opsets | None = Field(default=None, description="Versions of the operator set.")
    shapes: Shapes | None = Field(default=None, description="Whether shapes have to be fixed.")
    activations: Activations | None = Field(default=None, description="Quantized activations.")
    weights: Weights | None = Field(default=None, description="Quantized weights.")
    per_channel: PerChannel | None = Field(default=None, description="Scales for each channel.")
    bias: Bias | None = Field(default=None, description="Biases of quantized layers.")
    sixteen_bit: SixteenBit | None = Field(default=None, description="Activations of 16 bits.")
    notes: list[Fact] = Field(default_factory=list, description="What else is known and not checked.")
    unknown: list[Says] = Field(description="What was looked for and not found out.")
