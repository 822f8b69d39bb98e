"""The operators that a program may call: those of torch's dispatcher that compute, and arithmetic on sizes."""

import re
from functools import cache
from typing import Annotated, Final

from pydantic import AfterValidator

QUALIFIED: Final = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed|torchvision)\.([A-Za-z0-9_]+)\.([A-Za-z0-9_]+)"
)
HIGHER_ORDER: Final = (
    "cond while_loop scan associative_scan map_impl wrap_with_set_grad_enabled wrap_with_autocast"
)
ON_SIZES: Final = {
    "torch": "sym_int sym_float sym_ite sym_max sym_min sym_not sym_sqrt sym_sum _sym_acos _sym_asin _sym_atan "
    "_sym_cos _sym_cosh _sym_log2 _sym_sin _sym_sinh _sym_sqrt _sym_tan _sym_tanh",
    "math": "ceil floor trunc sqrt pow",
    "_operator": "add sub mul truediv floordiv mod pow neg pos abs eq ne lt le gt ge and_ or_ not_ "
    "lshift rshift getitem",
}
PLAIN: Final = frozenset(
    [f"torch.ops.higher_order.{name}" for name in HIGHER_ORDER.split()]
    + [f"{module}.{name}" for module, names in ON_SIZES.items() for name in names.split()]
)
"""Those that torch's dispatcher does not list."""
TOUCHING: Final = frozenset({"aten::from_file", "aten::_print"})
"""What opens files, or writes to the terminal. All that only TorchScript knows is not in the dispatcher."""


def known_operator(target: str) -> str:
    """Return the target, if it is one that computes. Raises `ValueError`."""
    if target in PLAIN:
        return target
    if match := QUALIFIED.fullmatch(target):
        namespace, name, overload = match.groups()
        suffix = "" if overload == "default" else f".{overload}"
        if f"{namespace}::{name}{suffix}" in _dispatched() and f"{namespace}::{name}" not in TOUCHING:
            return f"torch.ops.{namespace}.{name}.{overload}"
    raise ValueError(f"the operator {target[:80]!r} is not known here, or does more than compute")


@cache
def _dispatched() -> frozenset[str]:
    """All operators of this torch's dispatcher, as `namespace::name.overload`."""
    import torch

    return frozenset(torch._C._dispatch_get_all_op_names())


Operator = Annotated[str, AfterValidator(known_operator)]
