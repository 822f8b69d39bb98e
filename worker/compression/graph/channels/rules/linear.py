"""Products with a weight: its output axis makes channels, its input axis is united with what it reads."""

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final

from worker.compression.graph.channels.labels.label_run import Heads
from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import Labelled, NodeView, Rule
from worker.compression.graph.channels.rules.elementwise import broadcast

Axis = tuple[Vector | None, int]


def contract(view: NodeView, a: Labelled, b: Labelled, a_axis: Axis, b_axis: Axis) -> None:
    """Sum over two axes that share labels. A channel adds nothing if a weight of its own or one factor is zero."""
    met = view.share_labels(a_axis, b_axis, origin=a.origin or b.origin)
    for value, axis in ((a, a_axis), (b, b_axis)):
        if value.weight:
            view.consumes(axis[0])
    if not (a.zero or b.zero):
        view.pin(met, f"{view} sums over them though they may not be zero, and no weight stands in between")


def product(
    view: NodeView, a: Labelled, b: Labelled, *, flip_a: bool = False, flip_b: bool = False
) -> Labelled:
    """[…, m, k] · […, k, n] as numpy's matmul has it; a flipped operand has its last two axes exchanged."""
    (rows, inner), (consumed, columns) = _matrix(a, flip_a, row=True), _matrix(b, flip_b, row=False)
    contract(view, a, b, inner, consumed)
    for value, (vector, _) in ((a, rows), (b, columns)):
        if value.weight:
            view.produces(vector)
    batches = broadcast(view, [_batch(a), _batch(b)])
    if not (a.weight or b.weight):
        view.run.heads.extend(_heads(a, b))
    ends = ([rows[0]] if len(a.shape) > 1 else []) + ([columns[0]] if len(b.shape) > 1 else [])
    return view.result([*batches, *ends], zero=_stays(a, inner[0]) and _stays(b, consumed[0]))


def _heads(a: Labelled, b: Labelled) -> Iterator[Heads]:
    """The axes along which whole matrices are multiplied, the last first."""
    pairs = list(zip_longest(a.pairs()[-3::-1], b.pairs()[-3::-1], fillvalue=(None, 1)))
    stretched = math.prod(max(m, n) for (_, m), (_, n) in pairs if m != n and 1 in (m, n))
    for (first, m), (second, n) in pairs:
        yield Heads(first, second, stretched if m == n else 1)


def _stays(value: Labelled, summed: Vector | None) -> bool:
    return value.zero or all(vector is summed for vector in value.vectors())


def _matrix(value: Labelled, flipped: bool, *, row: bool) -> tuple[Axis, Axis]:
    pairs = value.pairs()
    if len(pairs) == 1:
        return ((None, 1), pairs[0]) if row else (pairs[0], (None, 1))
    return (pairs[-1], pairs[-2]) if flipped else (pairs[-2], pairs[-1])


def _batch(value: Labelled) -> Labelled:
    return Labelled(value.shape[:-2], value.axes[:-2], value.zero, value.weight, value.origin)


def matmul(a: int, b: int) -> Rule:
    """A product of the inputs at these two places."""
    return lambda view: product(view, view.required(a), view.required(b))


def fused_matmul(view: NodeView) -> Labelled:
    """A product of two matrices, transposed as its attributes say."""
    flips = [bool(view.node.attributes.get_int(name, 0)) for name in ("transA", "transB")]
    return product(view, view.required(0), view.required(1), flip_a=flips[0], flip_b=flips[1])


def gemm(view: NodeView) -> Labelled:
    """A product and its bias [N]."""
    made = fused_matmul(view)
    return _with_bias(view, made, view.optional(2))


def quantized_matmul(view: NodeView) -> Labelled:
    """Scales and zero points of the weight may go along its columns."""
    made = product(view, view.required(0), view.required(3))
    for index in (4, 5):
        made = _with_bias(view, made, _vector(view.optional(index)))
    return made


def quantized_gemm(view: NodeView) -> Labelled:
    """QGemm: a product of integers, its bias, and scales and zero points of each output channel."""
    flips = [bool(view.node.attributes.get_int(name, 0)) for name in ("transA", "transB")]
    made = product(view, view.required(0), view.required(3), flip_a=flips[0], flip_b=flips[1])
    for index in (4, 5, 6):
        made = _with_bias(view, made, _vector(view.optional(index)))
    return made


def _vector(value: Labelled | None) -> Labelled | None:
    return value if value is not None and len(value.shape) == 1 else None


def _with_bias(view: NodeView, made: Labelled, bias: Labelled | None) -> Labelled:
    if bias is None:
        return made
    return view.result(broadcast(view, [made, bias]), zero=made.zero and bias.zero)


def conv(x: int = 0, w: int = 1, along: tuple[int, ...] = (2,)) -> Rule:
    """`along`: inputs that go along the output channels: bias, scales, zero points."""
    return lambda view: _conv(view, view.required(x), view.required(w), along)


def fused_conv(view: NodeView) -> Labelled:
    """With a fourth input, which is added."""
    return _with_bias(view, _conv(view, view.required(0), view.required(1), (2,)), view.optional(3))


def _conv(view: NodeView, x: Labelled, w: Labelled, along: tuple[int, ...]) -> Labelled:
    """W is [out, in / groups, …]."""
    groups, (made, outs), (read, ins) = view.node.attributes.get_int("group", 1), *w.pairs()[:2]
    view.produces(made)
    view.consumes(read)
    if groups == 1:
        view.share_labels((x.axes[1], x.shape[1]), (read, ins), origin=x.origin)
    else:
        _grouped(view, x, made, read, groups, ins)
    return _convolved(view, x, made, outs, along)


def _grouped(
    view: NodeView, x: Labelled, made: Vector | None, read: Vector | None, groups: int, inner: int
) -> None:
    """All groups stay equally big: either whole groups go, or the same channels of every group."""
    sizes = (groups, inner)
    channels = x.axes[1] if x.axes[1] is not None else made
    if channels is None:
        return
    chosen = view.choose(channels, sizes)
    outs = (groups, 0 if made is None else len(made) // groups)
    if chosen == 0:
        view.share_labels(
            (view.fold(x.axes[1], sizes, 0), groups), (view.fold(made, outs, 0), groups), origin=x.origin
        )
    else:
        view.share_labels((view.fold(x.axes[1], sizes, 1), inner), (read, inner), origin=x.origin)
        view.fold(made, outs, 1)


def _convolved(
    view: NodeView, x: Labelled, made: Vector | None, outs: int, along: tuple[int, ...]
) -> Labelled:
    for index in along:
        other = view.optional(index)
        if other is not None and len(other.shape) == 1:
            view.share_labels((made, outs), (other.axes[0], other.shape[0]))
    for vector in x.axes[2:]:
        view.pin(vector, f"{view} slides over them")
    return view.result([x.axes[0], made] + [None] * (len(view.shapes[0]) - 2), zero=True)


def conv_transpose(view: NodeView) -> Labelled:
    """W is [in, out / groups, …]; grouped, an output channel is a pair (group, index)."""
    x, w, groups = view.required(0), view.required(1), view.node.attributes.get_int("group", 1)
    read, made = w.axes[:2]
    view.share_labels((x.axes[1], x.shape[1]), (read, w.shape[0]), origin=x.origin)
    if groups == 1:
        view.consumes(read)
    elif read is not None:
        sizes, inner = (groups, w.shape[0] // groups), w.shape[1]
        view.produces(read)
        if view.choose(read, sizes) == 0:
            made = view.fold(read, sizes, 0).repeat(inner)  # type: ignore[union-attr]
        else:
            view.fold(read, sizes, 1)
            made = None if made is None else made[None].repeat(groups, 0).reshape(-1)
    if groups == 1 or read is None:
        view.produces(made)
    return _convolved(view, x, made, view.shapes[0][1], (2,))


def einsum(view: NodeView) -> Labelled:
    """One letter, one channel; letters that the result lacks are summed over."""
    equation = view.node.attributes.get_string("equation", "").replace(" ", "")
    if "..." in equation or "->" not in equation:
        view.pin_all(f"no rule for {view} with the equation '{equation}'")
        return view.unlabelled()
    terms, result = equation.split("->")
    values = [view.required(index) for index in range(len(view.inputs))]
    by_letter: dict[str, list[tuple[Labelled, Vector | None, int]]] = {}
    for letters, value in zip(terms.split(","), values, strict=True):
        for letter, (vector, size) in zip(letters, value.pairs(), strict=True):
            by_letter.setdefault(letter, []).append((value, vector, size))
    met = {letter: view.share_labels(*((v, s) for _, v, s in axes)) for letter, axes in by_letter.items()}
    for letter, axes in by_letter.items():
        for value, vector, _ in axes:
            if value.weight:
                (view.produces if letter in result else view.consumes)(vector)
        if letter not in result and not any(value.zero for value, _, _ in axes):
            view.pin(met[letter], f"{view} sums over them though they may not be zero")
        if letter in result and len(axes) == len(values) == 2 and not any(v.weight for v in values):
            view.run.heads.append(Heads(axes[0][1], axes[1][1]))
    return view.result([met[letter] for letter in result], zero=all(value.zero for value in values))


RULES: Final[dict[str, Rule]] = {
    "Conv": conv(),
    "FusedConv": fused_conv,
    "ConvInteger": conv(along=(3,)),
    "QLinearConv": conv(0, 3, along=(4, 5, 8)),
    "ConvTranspose": conv_transpose,
    "MatMul": matmul(0, 1),
    "MatMulInteger": matmul(0, 1),
    "QLinearMatMul": quantized_matmul,
    "FusedMatMul": fused_matmul,
    "QGemm": quantized_gemm,
    "Gemm": gemm,
    "FusedGemm": gemm,
    "Einsum": einsum,
}
