"""Operators that look around along the axes behind the second: channels pass by."""

from typing import Final

from worker.compression.graph.channels.labels.node_view import Labelled, NodeView, Rule


def window(view: NodeView) -> Labelled:
    """Pooling, and sampling at given places."""
    x = view.required()
    for vector in x.axes[2:]:
        view.pin(vector, f"{view} slides over them")
    if len(view.shapes) > 1 and view.node.outputs[1].uses():
        view.pin(x.axes[1], f"{view} also answers places among all values")
    behind = [None] * (len(view.shapes[0]) - 2)
    return view.result([x.axes[0], x.axes[1], *behind], zero=x.zero)


def roi(view: NodeView) -> Labelled:
    """RoiAlign and its kin keep the channels of the features [N, C, H, W]."""
    x = view.required()
    return view.result([None, x.axes[1], *[None] * (len(view.shapes[0]) - 2)], zero=x.zero)


def resize(view: NodeView) -> Labelled:
    """Axes that keep their size keep their labels."""
    x = view.required()
    axes = []
    for vector, before, after in zip(x.axes, x.shape, view.shapes[0], strict=True):
        if before != after:
            view.pin(vector, f"{view} interpolates over them")
        axes.append(vector if before == after else None)
    return view.result(axes, zero=x.zero)


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
