"""Says why a layer stays as it is. Every technique asks the same questions in the same order:

excluded   a pattern names it, or a layer with the same weight
operator   no such operator can be changed
dtype      its weights are no float32 constants
shared     something reads the weight that would not be changed with it
finite     a weight has NaN or infinity
rule       what the technique itself asks
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import onnx_ir as ir

from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.naming import excluded
from worker.compression.ir.values import tensor_of

EXCLUDED: Final = "excluded by pattern"
TWIN_EXCLUDED: Final = "a layer with the same weight is excluded by pattern"
NOT_FLOAT32: Final = "its weight is no float32 constant"
SHARED: Final = "its weight is shared with another node"
IS_OUTPUT: Final = "its weight is an output of the model"
NOT_FINITE: Final = "its weight has NaN or infinity"
NOT_PLAIN: Final = "it is no plain product of its input and a constant matrix"


def why_ineligible(
    node: ir.Node,
    weights: Sequence[ir.Value | None],
    patterns: Iterable[str],
    *,
    operator: str | None = None,
    readers: Collection[ir.Node] | None = None,
    rule: Callable[[], str | None] = lambda: None,
) -> str | None:
    """The first reason against changing the node, None where there is none.

    `readers` are all nodes that are changed together because they read the weight; None where a weight may be shared.
    """
    if excluded(node, patterns):
        return EXCLUDED
    if any(excluded(reader, patterns) for reader in readers or ()):
        return TWIN_EXCLUDED
    if operator is not None:
        return operator
    constants = [weight for weight in weights if weight is not None and _is_float32(weight)]
    if not weights or len(constants) < len(weights):
        return NOT_FLOAT32
    if readers is not None and any(weight.is_graph_output() for weight in constants):
        return IS_OUTPUT
    if readers is not None and any(len(weight.uses()) > len(readers) for weight in constants):
        return SHARED
    return rule() if all(map(is_finite, constants)) else NOT_FINITE


def _is_float32(weight: ir.Value) -> bool:
    return weight.const_value is not None and weight.const_value.dtype == ir.DataType.FLOAT


def is_finite(weight: ir.Value) -> bool:
    """Whether a constant has neither NaN nor infinity. Read once: copies of a model, of which a search makes many, have
    the same tensors."""
    tensor = tensor_of(weight)
    if tensor not in _FINITE:
        _FINITE[tensor] = not tensor.size or bool(
            np.isfinite([tensor.numpy().min(), tensor.numpy().max()]).all()
        )
        release(weight)
    return _FINITE[tensor]


_FINITE: Final[WeakKeyDictionary[ir.TensorProtocol, bool]] = WeakKeyDictionary()
