"""Whether one value of a stream can take the place of another, as far as it is known."""

import onnx_ir as ir


def may_be_alike(first: ir.Value, second: ir.Value) -> bool:
    """Whether nothing that is known of type and shape tells them apart: an Add also broadcasts."""
    if first.shape is None or second.shape is None:
        return first.dtype == second.dtype
    unlike = any(map(_is_unlike, first.shape, second.shape))
    return first.dtype == second.dtype and len(first.shape) == len(second.shape) and not unlike


def _is_unlike(first: int | ir.SymbolicDim, second: int | ir.SymbolicDim) -> bool:
    """Whether two sizes differ, or 1 would have to stand for one that is open."""
    known = isinstance(first, int) and isinstance(second, int)
    return first != second if known else 1 in (first, second)


def same_shape(first: ir.Value, second: ir.Value) -> bool:
    """Whether they are alike, and one size at least is known of both."""
    pairs = zip(first.shape or (), second.shape or (), strict=False)
    known = any(isinstance(a, int) and a == b for a, b in pairs)
    return known and may_be_alike(first, second)
