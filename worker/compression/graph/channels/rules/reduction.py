"""Operators that look along an axis: sums of zeros add nothing, everything else needs all of its channels."""

from collections.abc import Callable, Iterable
from typing import Final

from worker.compression.graph.channels.node_view import Labelled, Step, integers
from worker.compression.graph.channels.rule import Rule
from worker.compression.graph.channels.rules.elementwise import broadcast

Zero = bool
SUMS: Final = ("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare")
OTHERS: Final = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSum", "ReduceLogSumExp")
SOFTMAX_OF_ONE_AXIS: Final = 13
GROUP_NORM_BY_CHANNEL: Final = 21


def reduce(step: Step) -> Labelled:
    """Sums of channels that are zero may lose some of them; the axis is gone behind it."""
    x = step.given()
    axes = _axes(step, x)
    for axis in axes:
        if step.node.op_type not in SUMS or not x.zero:
            step.pin(x.axes[axis], f"{step} is taken over them")
    kept = step.node.attributes.get_int("keepdims", 1)
    left = [None if a in axes else v for a, v in enumerate(x.axes) if kept or a not in axes]
    return step.result(left, zero=x.zero and step.node.op_type not in ("ReduceLogSum", "ReduceLogSumExp"))


def _axes(step: Step, x: Labelled) -> set[int]:
    named = integers(step.node, "axes", 1)
    if not named:
        return set() if step.node.attributes.get_int("noop_with_empty_axes", 0) else set(range(len(x.shape)))
    return {axis % len(x.shape) for axis in named}


def across(axes_of: Callable[[Step, int], Iterable[int]], *, zero: Zero) -> Rule:
    """Needs all values along these axes, and answers as many."""

    def rule(step: Step) -> Labelled:
        x, axes = step.given(), set(axes_of(step, len(step.given().shape)))
        for axis in axes:
            step.pin(x.axes[axis], f"{step} normalises over them")
        return step.result(x.axes, zero=x.zero and zero)

    return rule


def _softmax_axes(step: Step, rank: int) -> Iterable[int]:
    """Before version 13 all axes from `axis` on are one."""
    if step.opset < SOFTMAX_OF_ONE_AXIS:
        return range(step.node.attributes.get_int("axis", 1) % rank, rank)
    return [step.node.attributes.get_int("axis", -1) % rank]


def _one_axis(default: int) -> Callable[[Step, int], Iterable[int]]:
    return lambda step, rank: [step.node.attributes.get_int("axis", default) % rank]


def _cumulative(step: Step, rank: int) -> Iterable[int]:
    axis = step.constant(1)
    return range(rank) if axis is None else [int(axis.reshape(-1)[0]) % rank]


def _mean_variance(step: Step, rank: int) -> Iterable[int]:
    return [axis % rank for axis in step.node.attributes.get_ints("axes", (0, 2, 3))]


def layer_norm(default: int = -1) -> Rule:
    """Mean and variance over all axes from `axis` on: a channel less changes both."""

    def rule(step: Step) -> Labelled:
        x, rank = step.given(), len(step.given().shape)
        for axis in range(step.node.attributes.get_int("axis", default) % rank, rank):
            step.pin(x.axes[axis], f"{step} normalises over them")
        parameters = [value for value in step.inputs[1:] if value is not None]
        return step.result(broadcast(step, [x, *parameters]), zero=x.zero)

    return rule


def by_channel(step: Step) -> Labelled:
    """Scale, bias and statistics go along axis 1."""
    x = step.given()
    met = step.meet(
        (x.axes[1], x.shape[1]),
        *((p.axes[0], p.shape[0]) for p in step.inputs[1:] if p is not None),
        origin=x.origin,
    )
    if step.node.op_type == "InstanceNormalization":
        for vector in x.axes[2:]:
            step.pin(vector, f"{step} normalises over them")
    return step.result([x.axes[0], met, *x.axes[2:]], zero=True)


def group_norm(step: Step) -> Labelled:
    """Whole groups go: what is left of one would have other statistics."""
    x, groups = step.given(), step.node.attributes.get_int("num_groups", 1)
    sizes = (groups, x.shape[1] // groups)
    folded = step.fold(x.axes[1], sizes, 0) if groups > 1 else x.axes[1]
    if groups == 1:
        step.pin(x.axes[1], f"{step} normalises over them")
    for index in (1, 2):
        parameter = step.given(index)
        lies_on = x.axes[1] if step.opset >= GROUP_NORM_BY_CHANNEL else folded
        step.meet((lies_on, parameter.shape[0]), (parameter.axes[0], parameter.shape[0]), origin=x.origin)
    return step.result(x.axes, zero=True)


def arg(step: Step) -> Labelled:
    """The index of a value along an axis: every value counts."""
    x, rank = step.given(), len(step.given().shape)
    axis = step.node.attributes.get_int("axis", 0) % rank
    step.pin(x.axes[axis], f"{step} looks for one of them")
    kept = step.node.attributes.get_int("keepdims", 1)
    return step.result([None if a == axis else v for a, v in enumerate(x.axes) if kept or a != axis])


RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys((*SUMS, *OTHERS), reduce),
    "Softmax": across(_softmax_axes, zero=False),
    "LogSoftmax": across(_softmax_axes, zero=False),
    "Hardmax": across(_softmax_axes, zero=False),
    "LpNormalization": across(_one_axis(-1), zero=False),
    "LRN": across(lambda step, rank: [1], zero=True),
    "CumSum": across(_cumulative, zero=True),
    "MeanVarianceNormalization": across(_mean_variance, zero=True),
    "LayerNormalization": layer_norm(),
    "RMSNormalization": layer_norm(),
    "SimplifiedLayerNormalization": layer_norm(),
    "BatchNormalization": by_channel,
    "InstanceNormalization": by_channel,
    "GroupNormalization": group_norm,
    "ArgMax": arg,
    "ArgMin": arg,
}
