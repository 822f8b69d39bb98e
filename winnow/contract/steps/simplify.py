"""The step that brings a graph into its lossless normal form."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from winnow.contract.steps.base import KIND, Step

LOWEST_OPSET: Final = 7
"""ONNX Runtime has kernels from here on."""
HIGHEST_OPSET: Final = 25
"""The newest whose documents were read beside the older ones."""

Size = Annotated[int, Field(ge=1, lt=2**31)]
SizeName = Annotated[str, Field(min_length=1, max_length=1000)]


class Simplify(Step):
    """The same network in fewer nodes and bytes: folded, equal expressions and weights joined, dead and cancelling
    nodes gone."""

    lossless: ClassVar[bool] = True
    chooses: ClassVar[bool] = True

    kind: Literal["simplify"] = Field(description=KIND)
    fix_shapes: dict[SizeName, Size | Annotated[list[Size], Field(max_length=16)]] = Field(
        default_factory=dict,
        max_length=100,
        description="Sizes that are fixed: a number for the name of a size that varies, or the whole shape for the "
        "name of an input. They hold for the whole job.",
        examples=[{"batch": 1, "image": [1, 3, 224, 224]}],
    )
    opset: Annotated[int, Field(ge=LOWEST_OPSET, le=HIGHEST_OPSET)] | None = Field(
        default=None,
        description="Version of ONNX's operator set that the model is raised or lowered to; null for its own.",
    )
    undo_contrib: bool = Field(
        default=False,
        description="Write operators that only ONNX Runtime has in ONNX's own, where they can be.",
    )

    @property
    def may_keep_original(self) -> bool:
        """What was asked for by a setting is done, whatever it costs."""
        return not (self.fix_shapes or self.opset or self.undo_contrib)
