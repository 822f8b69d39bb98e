"""Q/DQ pairs and ONNX Runtime's quantized operators: scales and zero points go along one axis, or are numbers."""

from typing import Final

from worker.compression.graph.channels.node_view import Labelled, Step
from worker.compression.graph.channels.rule import Rule
from worker.compression.graph.channels.rules.elementwise import any_zero, broadcast, elementwise, kept, never
from worker.compression.graph.channels.rules.movement import joined_along


def by_axis(step: Step) -> Labelled:
    """QuantizeLinear and DequantizeLinear."""
    x = step.given()
    axes = list(x.axes)
    axis = step.node.attributes.get_int("axis", 1)
    for parameter in (step.given(1), step.optional(2)):
        if parameter is None or all(size == 1 for size in parameter.shape):
            continue
        if len(parameter.shape) > 1:
            for vector in (*x.vectors(), *parameter.vectors()):
                step.pin(vector, f"{step} has a scale for each block of them")
            continue
        axis %= len(x.shape)
        met = step.meet((axes[axis], x.shape[axis]), (parameter.axes[0], parameter.shape[0]), origin=x.origin)
        axes[axis] = met if axes[axis] is None else axes[axis]
    return step.result(axes, zero=x.zero)


def dynamic(step: Step) -> Labelled:
    return step.result(step.given().axes, zero=step.given().zero)


def sum_of_two(step: Step) -> Labelled:
    """a, its scale and zero point, b, its scale and zero point."""
    a, b = step.given(0), step.given(3)
    return step.result(broadcast(step, [a, b]), zero=a.zero and b.zero and len(a.shape) == len(b.shape))


def product_of_two(step: Step) -> Labelled:
    values = [step.given(0), step.given(3)]
    return step.result(broadcast(step, values), zero=any_zero(step, values))


def concat(step: Step) -> Labelled:
    """Scale and zero point of the result, then each part with its own."""
    values = [value for value in step.inputs[2::3] if value is not None]
    return joined_along(step, values, step.node.attributes.get_int("axis", 1))


RULES: Final[dict[str, Rule]] = {
    "QuantizeLinear": by_axis,
    "DequantizeLinear": by_axis,
    "DynamicQuantizeLinear": dynamic,
    "QLinearAdd": sum_of_two,
    "QLinearMul": product_of_two,
    "QLinearConcat": concat,
    "QLinearLeakyRelu": elementwise(kept, slice(1)),
    "QLinearSigmoid": elementwise(never, slice(1)),
}
