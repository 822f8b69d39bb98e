"""Operators that look around along the axes behind the second: channels pass by."""

from typing import Final

from worker.compression.graph.channels.node_view import Labelled, Step
from worker.compression.graph.channels.rule import Rule


def window(step: Step) -> Labelled:
    """Pooling, and sampling at given places."""
    x = step.given()
    for vector in x.axes[2:]:
        step.pin(vector, f"{step} slides over them")
    if len(step.shapes) > 1 and step.node.outputs[1].uses():
        step.pin(x.axes[1], f"{step} also answers places among all values")
    behind = [None] * (len(step.shapes[0]) - 2)
    return step.result([x.axes[0], x.axes[1], *behind], zero=x.zero)


def roi(step: Step) -> Labelled:
    x = step.given()
    return step.result([None, x.axes[1], *[None] * (len(step.shapes[0]) - 2)], zero=x.zero)


def resize(step: Step) -> Labelled:
    """Axes that keep their size keep their labels."""
    x = step.given()
    axes = []
    for vector, before, after in zip(x.axes, x.shape, step.shapes[0], strict=True):
        if before != after:
            step.pin(vector, f"{step} interpolates over them")
        axes.append(vector if before == after else None)
    return step.result(axes, zero=x.zero)


POOLS: Final = (
    "AveragePool",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GridSample",
    "LpPool",
    "MaxPool",
    "QLinearAveragePool",
    "QLinearGlobalAveragePool",
)
RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(POOLS, window),
    "MaxRoiPool": roi,
    "RoiAlign": roi,
    "Resize": resize,
    "Upsample": resize,
}
