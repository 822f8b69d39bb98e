"""Graphs as exporters write them, drawn at random: right, and with much that nobody computes with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto

from tests.support.graphs import node, of

CHANNELS, SIDE = 4, 6
SHAPE: Final = ["N", CHANNELS, SIDE, SIDE]
PERMS: Final = ([0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 1, 2, 3])


@dataclass
class Drawn:
    """Nodes and constants so far; every value that a habit returns is [N, CHANNELS, SIDE, SIDE]."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(node(op, " ".join(inputs), output, f"n{len(self.nodes)}", **attributes))
        return output

    def constant(self, numbers: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(numbers, dtype)
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.normal(size=shape) * 0.3)


def _there_and_back(drawn: Drawn, x: str) -> str:
    perm = PERMS[int(drawn.rng.integers(len(PERMS)))]
    turned = drawn.add("Transpose", x, perm=perm)
    return drawn.add("Transpose", turned, perm=[int(axis) for axis in np.argsort(perm)])


def _three_turns(drawn: Drawn, x: str) -> str:
    for perm in ([0, 2, 3, 1], [0, 2, 3, 1], [0, 2, 3, 1]):
        x = drawn.add("Transpose", x, perm=perm)
    return x


def _reshaped_twice(drawn: Drawn, x: str) -> str:
    flat = drawn.add("Reshape", x, drawn.constant([0, CHANNELS, -1], np.int64))
    return drawn.add("Reshape", flat, drawn.constant([0, CHANNELS, SIDE, SIDE], np.int64))


def _cast_twice(drawn: Drawn, x: str) -> str:
    wide = drawn.add("Cast", x, to=TensorProto.DOUBLE)
    return drawn.add("Cast", wide, to=TensorProto.FLOAT)


def _cast_narrow(drawn: Drawn, x: str) -> str:
    """What is lost between stays lost."""
    narrow = drawn.add("Cast", x, to=TensorProto.FLOAT16)
    return drawn.add("Cast", narrow, to=TensorProto.FLOAT)


def _neutral(drawn: Drawn, x: str) -> str:
    scaled = drawn.add("Mul", x, drawn.constant(np.ones((1, CHANNELS, 1, 1))))
    less = drawn.add("Sub", drawn.add("Div", scaled, drawn.constant(1.0)), drawn.constant(0.0))
    return drawn.add("Add", less, drawn.constant(0.0))  # this one makes 0 of -0


def _signs(drawn: Drawn, x: str) -> str:
    negated = drawn.add("Neg", drawn.add("Neg", drawn.add("Neg", x)))
    return drawn.add("Relu", drawn.add("Relu", negated))


def _axes_put_in_and_out(drawn: Drawn, x: str) -> str:
    axes = drawn.constant([1], np.int64)
    more = drawn.add("Unsqueeze", drawn.add("Unsqueeze", x, axes), drawn.constant([0], np.int64))
    return drawn.add("Squeeze", drawn.add("Squeeze", more, drawn.constant([0], np.int64)), axes)


def _cut_and_padded(drawn: Drawn, x: str) -> str:
    ends = [[SIDE - 1], [2**63 - 1]]
    for axis, end in zip((2, 3), ends, strict=True):
        places = [drawn.constant(numbers, np.int64) for numbers in ([0], end, [axis])]
        x = drawn.add("Slice", x, *places)
    return drawn.add("Pad", x, drawn.constant([0, 0, 0, 0, 0, 0, 1, 0], np.int64))


def _same_twice(drawn: Drawn, x: str) -> str:
    weight = drawn.weights(CHANNELS, CHANNELS, 1, 1)
    first, second = (drawn.add("Conv", x, weight) for _ in range(2))
    return drawn.add("Add", first, second)


def _equal_weights(drawn: Drawn, x: str) -> str:
    weight = drawn.weights(CHANNELS, CHANNELS, 1, 1)
    copy = drawn.constant(drawn.constants[weight].copy())
    return drawn.add("Sub", drawn.add("Conv", x, weight), drawn.add("Relu", drawn.add("Conv", x, copy)))


def _normalised(drawn: Drawn, x: str) -> str:
    pads, padded = [0, 0, 1, 1, 0, 0, 1, 1], drawn.weights(CHANNELS, 2, 3, 3)
    wide = drawn.add("Pad", x, drawn.constant(pads, np.int64))
    made = drawn.add("Conv", wide, padded, group=2)
    moments = [drawn.weights(CHANNELS) for _ in range(3)]
    variance = drawn.constant(drawn.rng.uniform(0.5, 2, CHANNELS))
    normal = drawn.add("BatchNormalization", made, *moments, variance)
    scaled = drawn.add("Mul", drawn.weights(1, CHANNELS, 1, 1), normal)
    return drawn.add("Add", scaled, drawn.weights(CHANNELS, 1, 1))


def _shape_arithmetic(drawn: Drawn, x: str) -> str:
    batch = drawn.add("Gather", drawn.add("Shape", x), drawn.constant(0, np.int64))
    rest = drawn.constant([CHANNELS, SIDE, SIDE], np.int64)
    first = drawn.add("Unsqueeze", batch, drawn.constant([0], np.int64))
    return drawn.add("Reshape", x, drawn.add("Concat", first, rest, axis=0))


def _single(drawn: Drawn, x: str) -> str:
    return drawn.add("Dropout", drawn.add("Concat", drawn.add("Max", x), axis=1))


HABITS: Final[tuple[Callable[[Drawn, str], str], ...]] = (
    *(_there_and_back, _three_turns, _reshaped_twice, _cast_twice, _cast_narrow, _neutral, _signs),
    *(_axes_put_in_and_out, _cut_and_padded, _same_twice, _equal_weights, _normalised, _shape_arithmetic),
    *(_single,),
)


@st.composite
def exported(draw: st.DrawFn) -> onnx.ModelProto:
    """A graph of one to six habits, each on a value that was made before: x[N,4,6,6] → y[N,4,6,6], and another."""
    drawn = Drawn(rng=np.random.default_rng(draw(st.integers(0, 2**16))))
    values = ["x"]
    for habit in draw(st.lists(st.sampled_from(HABITS), min_size=1, max_size=6)):
        values.append(habit(drawn, draw(st.sampled_from(values))))
    drawn.nodes.append(node("Add", f"{values[-1]} x", "y", "last"))
    outputs = {"y": SHAPE}
    if draw(st.booleans()):
        drawn.nodes.append(node("Abs", values[-1], "z", "other"))
        outputs["z"] = SHAPE
    return of(drawn.nodes, {"x": SHAPE}, outputs, drawn.constants, opset=17)
