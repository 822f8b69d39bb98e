"""What counts as data in a `.pt2`: shape expressions, operators, pickles of tensors."""

import pickle
import pickletools
from collections import OrderedDict

import pytest

from worker.compression.convert.pickles import foreign_globals
from worker.compression.convert.pt2_gate import _is_operator, is_shape_expression


@pytest.mark.parametrize(
    "text",
    [
        "s77",
        "2*s0 + 1",
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(2), Symbol('s0', integer=True))",
        "Add(FloorDiv(Add(Symbol('s0'), Integer(-1)), Integer(2)), Integer(1))",
        "Max(1, s0//2)",
        "Eq(s0, 4)",
        "Float('1.5', precision=53)",
        "-oo",
        "u0 >= 0",
    ],
)
def test_arithmetic_on_symbols_is_a_shape_expression(text: str) -> None:
    assert is_shape_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__base__",
        "open('/tmp/x', 'w')",
        "Symbol('x').func",
        "Symbol('x', commutative=open('y'))",
        "Symbol(open('y'))",
        "sympify('1')",
        "Symbol('a; import os')",
        "[s0][0]",
        "(lambda: 1)()",
        "Max('1', 2)",
        "f'{s0}'",
        "s0 if s1 else s2",
        "x := 1",
        "import os",
        "",
        "(" * 5000 + "s0" + ")" * 5000,
        "1+" * 20_000 + "1",
        None,
        {"a": 1},
    ],
)
def test_anything_else_is_none(text: object) -> None:
    assert not is_shape_expression(text)


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("torch.ops.aten.conv2d.default", True),
        ("torch.ops.prims.convert_element_type.default", True),
        ("torch.ops.higher_order.cond", True),
        ("torch.ops.aten.__and__.Tensor", True),
        ("torch.ops.aten._softmax.default", True),
        ("torch.sym_max", True),
        ("_operator.floordiv", True),
        ("math.ceil", True),
        ("torch.ops.aten.from_file.default", False),
        ("torch.ops.aten.conv2d.__globals__.x", False),
        ("torch.ops.aten.conv2d.__globals__", False),
        ("torch.ops.aten.__class__", False),
        ("torch.ops.load_library", False),
        ("torch.os.system", False),
        ("torch.load", False),
        ("_operator.methodcaller", False),
        ("_operator.__builtins__", False),
        ("math.__loader__.load_module", False),
        ("#namespace:anything", False),
        ("torch.sym_max\nx", False),
    ],
)
def test_only_operators_that_compute_are_allowed(target: str, allowed: bool) -> None:
    assert _is_operator(target) is allowed


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_foreign_global_is_found_in_every_protocol(protocol: int) -> None:
    assert foreign_globals(pickle.dumps(print, protocol=protocol))


def test_tensor_makers_are_not_foreign_and_garbage_is() -> None:
    assert foreign_globals(pickle.dumps(OrderedDict(a=1), protocol=2)) == []
    assert foreign_globals(b"\x80\x02\xff garbage")
    assert foreign_globals(pickletools.optimize(pickle.dumps([1, 2], protocol=2))) == []
