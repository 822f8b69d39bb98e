"""Operators that look along an axis: sums of zeros add nothing, everything else needs all of its channels."""

from collections.abc import Callable, Iterable
from typing import Final

from worker.compression.graph.channels.labels.node_view import Labelled, NodeView, Rule, constant, integers
from worker.compression.graph.channels.rules.elementwise import broadcast

Zero = bool
SUMS: Final = ("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare")
OTHERS: Final = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSum", "ReduceLogSumExp")
SOFTMAX_OF_ONE_AXIS: Final = 13
GROUP_NORM_BY_CHANNEL: Final = 21


def reduce(view: NodeView) -> Labelled:
    """Sums of channels that are zero may lose some of them; the axis is gone behind it."""
    x = view.required()
    axes, keepdims = _axes(view, x), view.node.attributes.get_int("keepdims", 1)
    is_statistic = view.node.op_type == "ReduceMean" and keepdims and axes == {len(x.shape) - 1}
    for axis in axes:
        if is_statistic:
            view.normalises(x.axes[axis], f"{view} is taken over them")
        elif view.node.op_type not in SUMS or not x.zero:
            view.pin(x.axes[axis], f"{view} is taken over them")
    remaining = [None if a in axes else v for a, v in enumerate(x.axes) if keepdims or a not in axes]
    return view.result(
        remaining, zero=x.zero and view.node.op_type not in ("ReduceLogSum", "ReduceLogSumExp")
    )


def _axes(view: NodeView, x: Labelled) -> set[int]:
    named = integers(view.node, "axes", 1)
    if not named:
        return set() if view.node.attributes.get_int("noop_with_empty_axes", 0) else set(range(len(x.shape)))
    return {axis % len(x.shape) for axis in named}


def across(axes_of: Callable[[NodeView, int], Iterable[int]], *, zero: Zero) -> Rule:
    """Needs all values along these axes, and answers as many."""

    def rule(view: NodeView) -> Labelled:
        x, axes = view.required(), set(axes_of(view, len(view.required().shape)))
        for axis in axes:
            view.pin(x.axes[axis], f"{view} normalises over them")
        return view.result(x.axes, zero=x.zero and zero)

    return rule


def _softmax_axes(view: NodeView, rank: int) -> Iterable[int]:
    """Before version 13 all axes from `axis` on are one."""
    if view.opset < SOFTMAX_OF_ONE_AXIS:
        return range(view.node.attributes.get_int("axis", 1) % rank, rank)
    return [view.node.attributes.get_int("axis", -1) % rank]


def _one_axis(default: int) -> Callable[[NodeView, int], Iterable[int]]:
    return lambda view, rank: [view.node.attributes.get_int("axis", default) % rank]


def _cumulative(view: NodeView, rank: int) -> Iterable[int]:
    axis = constant(view.node, 1)
    return range(rank) if axis is None else [int(axis.reshape(-1)[0]) % rank]


def _mean_variance(view: NodeView, rank: int) -> Iterable[int]:
    return [axis % rank for axis in view.node.attributes.get_ints("axes", (0, 2, 3))]


def layer_norm(default: int = -1) -> Rule:
    """Mean and variance over all axes from `axis` on: a channel less changes both."""

    def rule(view: NodeView) -> Labelled:
        x, rank = view.required(), len(view.required().shape)
        for axis in range(view.node.attributes.get_int("axis", default) % rank, rank):
            view.normalises(x.axes[axis], f"{view} normalises over them")
        parameters = [value for value in view.inputs[1:] if value is not None]
        return view.result(broadcast(view, [x, *parameters]), zero=x.zero)

    return rule


def by_channel(view: NodeView) -> Labelled:
    """Scale, bias and statistics go along axis 1."""
    x = view.required()
    met = view.share_labels(
        (x.axes[1], x.shape[1]),
        *((p.axes[0], p.shape[0]) for p in view.inputs[1:] if p is not None),
        origin=x.origin,
    )
    if view.node.op_type == "InstanceNormalization":
        for vector in x.axes[2:]:
            view.pin(vector, f"{view} normalises over them")
    return view.result([x.axes[0], met, *x.axes[2:]], zero=True)


def group_norm(view: NodeView) -> Labelled:
    """Whole groups go: what is left of one would have other statistics."""
    x, groups = view.required(), view.node.attributes.get_int("num_groups", 1)
    sizes = (groups, x.shape[1] // groups)
    folded = view.fold(x.axes[1], sizes, 0) if groups > 1 else x.axes[1]
    if groups == 1:
        view.pin(x.axes[1], f"{view} normalises over them")
    for index in (1, 2):
        parameter = view.required(index)
        lies_on = x.axes[1] if view.opset >= GROUP_NORM_BY_CHANNEL else folded
        view.share_labels(
            (lies_on, parameter.shape[0]), (parameter.axes[0], parameter.shape[0]), origin=x.origin
        )
    return view.result(x.axes, zero=True)


def arg(view: NodeView) -> Labelled:
    """The index of a value along an axis: every value counts."""
    x, rank = view.required(), len(view.required().shape)
    axis = view.node.attributes.get_int("axis", 0) % rank
    view.pin(x.axes[axis], f"{view} looks for one of them")
    keepdims = view.node.attributes.get_int("keepdims", 1)
    return view.result([None if a == axis else v for a, v in enumerate(x.axes) if keepdims or a != axis])


RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys((*SUMS, *OTHERS), reduce),
    "Softmax": across(_softmax_axes, zero=False),
    "LogSoftmax": across(_softmax_axes, zero=False),
    "Hardmax": across(_softmax_axes, zero=False),
    "LpNormalization": across(_one_axis(-1), zero=False),
    "LRN": across(lambda view, rank: [1], zero=True),
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
