"""Q/DQ pairs and ONNX Runtime's quantized operators: scales and zero points go along one axis, or are numbers."""

from typing import Final

from worker.compression.graph.channels.labels.node_view import Labelled, NodeView, Rule
from worker.compression.graph.channels.rules.elementwise import (
    any_factor_zero,
    broadcast,
    elementwise,
    keeps_zero,
    never_zero,
)
from worker.compression.graph.channels.rules.movement import joined_along


def by_axis(view: NodeView) -> Labelled:
    """QuantizeLinear and DequantizeLinear."""
    x = view.required()
    axes = list(x.axes)
    axis = view.node.attributes.get_int("axis", 1)
    for parameter in (view.required(1), view.optional(2)):
        if parameter is None or all(size == 1 for size in parameter.shape):
            continue
        if len(parameter.shape) > 1:
            for vector in (*x.vectors(), *parameter.vectors()):
                view.pin(vector, f"{view} has a scale for each block of them")
            continue
        axis %= len(x.shape)
        met = view.share_labels(
            (axes[axis], x.shape[axis]), (parameter.axes[0], parameter.shape[0]), origin=x.origin
        )
        axes[axis] = met if axes[axis] is None else axes[axis]
    return view.result(axes, zero=x.zero)


def dynamic(view: NodeView) -> Labelled:
    """Integers have the channels of what they stand for; scale and zero point are of the whole tensor."""
    return view.result(view.required().axes, zero=view.required().zero)


def sum_of_two(view: NodeView) -> Labelled:
    """a, its scale and zero point, b, its scale and zero point."""
    a, b = view.required(0), view.required(3)
    return view.result(broadcast(view, [a, b]), zero=a.zero and b.zero and len(a.shape) == len(b.shape))


def product_of_two(view: NodeView) -> Labelled:
    """QLinearMul: 0 where one of both is."""
    values = [view.required(0), view.required(3)]
    return view.result(broadcast(view, values), zero=any_factor_zero(view, values))


def concat(view: NodeView) -> Labelled:
    """Scale and zero point of the result, then each part with its own."""
    values = [value for value in view.inputs[2::3] if value is not None]
    return joined_along(view, values, view.node.attributes.get_int("axis", 1))


RULES: Final[dict[str, Rule]] = {
    "QuantizeLinear": by_axis,
    "DequantizeLinear": by_axis,
    "DynamicQuantizeLinear": dynamic,
    "QLinearAdd": sum_of_two,
    "QLinearMul": product_of_two,
    "QLinearConcat": concat,
    "QLinearLeakyRelu": elementwise(keeps_zero, slice(1)),
    "QLinearSigmoid": elementwise(never_zero, slice(1)),
}
