"""Products with a weight: its output axis makes channels, its input axis is united with what it reads."""

from typing import Final

from worker.compression.graph.channels.ledger import Vector
from worker.compression.graph.channels.node_view import Labelled, Step
from worker.compression.graph.channels.rule import Rule
from worker.compression.graph.channels.rules.elementwise import broadcast

Axis = tuple[Vector | None, int]


def contract(step: Step, a: Labelled, b: Labelled, left: Axis, right: Axis) -> None:
    """Sum over two axes that lie on each other. A channel adds nothing if a weight of its own or one factor is zero."""
    met = step.meet(left, right, origin=a.origin or b.origin)
    for value, axis in ((a, left), (b, right)):
        if value.weight:
            step.reads(axis[0])
    if not (a.zero or b.zero):
        step.pin(met, f"{step} sums over them though they may not be zero, and no weight stands in between")


def product(step: Step, a: Labelled, b: Labelled, *, flip_a: bool = False, flip_b: bool = False) -> Labelled:
    """[…, m, k] · […, k, n] as numpy's matmul has it; a flipped operand has its last two axes exchanged."""
    (rows, inner), (reads, columns) = _matrix(a, flip_a, row=True), _matrix(b, flip_b, row=False)
    contract(step, a, b, inner, reads)
    for value, (vector, _) in ((a, rows), (b, columns)):
        if value.weight:
            step.makes(vector)
    batches = broadcast(step, [_batch(a), _batch(b)])
    ends = ([rows[0]] if len(a.shape) > 1 else []) + ([columns[0]] if len(b.shape) > 1 else [])
    return step.result([*batches, *ends], zero=_stays(a, inner[0]) and _stays(b, reads[0]))


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
    return lambda step: product(step, step.given(a), step.given(b))


def fused_matmul(step: Step) -> Labelled:
    flips = [bool(step.node.attributes.get_int(name, 0)) for name in ("transA", "transB")]
    return product(step, step.given(0), step.given(1), flip_a=flips[0], flip_b=flips[1])


def gemm(step: Step) -> Labelled:
    made = fused_matmul(step)
    return _with_bias(step, made, step.optional(2))


def quantized_matmul(step: Step) -> Labelled:
    """Scales and zero points of the weight may go along its columns."""
    made = product(step, step.given(0), step.given(3))
    for index in (4, 5):
        made = _with_bias(step, made, _vector(step.optional(index)))
    return made


def quantized_gemm(step: Step) -> Labelled:
    flips = [bool(step.node.attributes.get_int(name, 0)) for name in ("transA", "transB")]
    made = product(step, step.given(0), step.given(3), flip_a=flips[0], flip_b=flips[1])
    for index in (4, 5, 6):
        made = _with_bias(step, made, _vector(step.optional(index)))
    return made


def _vector(value: Labelled | None) -> Labelled | None:
    return value if value is not None and len(value.shape) == 1 else None


def _with_bias(step: Step, made: Labelled, bias: Labelled | None) -> Labelled:
    if bias is None:
        return made
    return step.result(broadcast(step, [made, bias]), zero=made.zero and bias.zero)


def conv(x: int = 0, w: int = 1, along: tuple[int, ...] = (2,)) -> Rule:
    """`along`: inputs that go along the output channels: bias, scales, zero points."""
    return lambda step: _conv(step, step.given(x), step.given(w), along)


def fused_conv(step: Step) -> Labelled:
    """With a fourth input, which is added."""
    return _with_bias(step, _conv(step, step.given(0), step.given(1), (2,)), step.optional(3))


def _conv(step: Step, x: Labelled, w: Labelled, along: tuple[int, ...]) -> Labelled:
    """W is [out, in / groups, …]."""
    groups, (made, outs), (read, ins) = step.node.attributes.get_int("group", 1), *w.pairs()[:2]
    step.makes(made)
    step.reads(read)
    if groups == 1:
        step.meet((x.axes[1], x.shape[1]), (read, ins), origin=x.origin)
    else:
        _grouped(step, x, made, read, groups, ins)
    return _convolved(step, x, made, outs, along)


def _grouped(
    step: Step, x: Labelled, made: Vector | None, read: Vector | None, groups: int, inner: int
) -> None:
    """All groups stay equally big: either whole groups go, or the same channels of every group."""
    sizes = (groups, inner)
    there = x.axes[1] if x.axes[1] is not None else made
    if there is None:
        return
    kept = step.choose(there, sizes)
    outs = (groups, 0 if made is None else len(made) // groups)
    if kept == 0:
        step.meet(
            (step.fold(x.axes[1], sizes, 0), groups), (step.fold(made, outs, 0), groups), origin=x.origin
        )
    else:
        step.meet((step.fold(x.axes[1], sizes, 1), inner), (read, inner), origin=x.origin)
        step.fold(made, outs, 1)


def _convolved(
    step: Step, x: Labelled, made: Vector | None, outs: int, along: tuple[int, ...], *, zero: bool = True
) -> Labelled:
    for index in along:
        other = step.optional(index)
        if other is not None and len(other.shape) == 1:
            step.meet((made, outs), (other.axes[0], other.shape[0]))
    for vector in x.axes[2:]:
        step.pin(vector, f"{step} slides over them")
    return step.result([x.axes[0], made] + [None] * (len(step.shapes[0]) - 2), zero=zero)


def conv_transpose(step: Step) -> Labelled:
    """W is [in, out / groups, …]; grouped, an output channel is a pair (group, index)."""
    x, w, groups = step.given(0), step.given(1), step.node.attributes.get_int("group", 1)
    read, made = w.axes[:2]
    step.meet((x.axes[1], x.shape[1]), (read, w.shape[0]), origin=x.origin)
    if groups == 1:
        step.reads(read)
    elif read is not None:
        sizes, inner = (groups, w.shape[0] // groups), w.shape[1]
        step.makes(read)
        if step.choose(read, sizes) == 0:
            made = step.fold(read, sizes, 0).repeat(inner)  # type: ignore[union-attr]
        else:
            step.fold(read, sizes, 1)
            made = None if made is None else _tiled(made, groups)
    if groups == 1 or read is None:
        step.makes(made)
    return _convolved(step, x, made, step.shapes[0][1], (2,))


def _tiled(vector: Vector, times: int) -> Vector:
    return vector[None].repeat(times, 0).reshape(-1)


def einsum(step: Step) -> Labelled:
    """One letter, one channel; letters that the result lacks are summed over."""
    equation = step.node.attributes.get_string("equation", "").replace(" ", "")
    if "..." in equation or "->" not in equation:
        step.pin_all(f"no rule for {step} with the equation '{equation}'")
        return step.plain()
    terms, result = equation.split("->")
    values = [step.given(index) for index in range(len(step.inputs))]
    found: dict[str, list[tuple[Labelled, Vector | None, int]]] = {}
    for letters, value in zip(terms.split(","), values, strict=True):
        for letter, (vector, size) in zip(letters, value.pairs(), strict=True):
            found.setdefault(letter, []).append((value, vector, size))
    met = {letter: step.meet(*((v, s) for _, v, s in axes)) for letter, axes in found.items()}
    for letter, axes in found.items():
        for value, vector, _ in axes:
            if value.weight:
                (step.makes if letter in result else step.reads)(vector)
        if letter not in result and not any(value.zero for value, _, _ in axes):
            step.pin(met[letter], f"{step} sums over them though they may not be zero")
    return step.result([met[letter] for letter in result], zero=all(value.zero for value in values))


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
