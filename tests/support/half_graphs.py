"""Small graphs in float16, in the ways that floats of several types meet: x[N,40] → y and more."""

import re
from typing import Final

import numpy as np
import onnx

from tests.support.graphs import parse

STATISTICS: Final = "statistics in float32"
GRAPHS: Final = {
    "an output that is an input": """
        (float16[N,40] x) => (float16[N,40] x, float16[N,40] y) { y = MatMul (x, w) }""",
    "an output that is an Identity of an input": """
        (float16[N,40] x) => (float16[N,40] z, float16[N,40] y) { z = Identity (x)  y = MatMul (x, w) }""",
    "an output that is computed from constants": """
        (float16[N,40] x) => (float16[N,40] y, float16[40,40] z) { z = Neg (w)  y = MatMul (x, w) }""",
    "an input that nobody reads": """
        (float16[N,40] x, float16[N,40] u) => (float16[N,40] y) { y = MatMul (x, w) }""",
    "a weight of two layers": """
        (float16[N,40] x) => (float16[N,40] y) { a = MatMul (x, w)  b = Tanh (a)  y = MatMul (b, w) }""",
    "a weight behind two Casts, one an output": """
        (float[N,40] x) => (float[N,40] y, float[40,40] z)
        { z = Cast <to=1> (w)  z2 = Cast <to=1> (w)  y = MatMul (x, z2) }""",
    "floats between Casts": """
        (float16[N,40] x) => (float16[N,40] y)
        { x2 = Cast <to=1> (x)  w2 = Cast <to=1> (w)  y2 = MatMul (x2, w2)  y = Cast <to=10> (y2) }""",
    "one layer in float32": """
        (float[N,40] x) => (float[N,40] y)
        { x2 = Cast <to=10> (x)  a = MatMul (x2, w)  b = Cast <to=1> (a)  y = MatMul (b, wide) }""",
    "an infinity": """
        (float16[N,40] x) => (float16[N,40] y) { a = MatMul (x, w)  y = Min (a, infinity) }""",
    "an empty constant": """
        (float16[N,40] x) => (float16[M,40] y) { a = MatMul (x, w)  y = Concat <axis=0> (a, empty) }""",
    "a CastLike": """
        (float[N,40] x) => (float16[N,40] y) { x2 = CastLike (x, w)  y = MatMul (x2, w) }""",
    "branches that read outside": """
        (float16[N,40] x, bool flag) => (float16[N,40] y) { y = If (flag) <
            then_branch = t () => (float16[N,40] u) { u = MatMul (x, w) },
            else_branch = e () => (float16[N,40] v) { k = Cast <to=10> (wide)  v = MatMul (x, k) }> }""",
    "a Cast in a branch": """
        (float[N,40] x, bool flag) => (float[N,40] y) { y = If (flag) <
            then_branch = t () => (float[N,40] u) { k = Cast <to=1> (w)  u = MatMul (x, k) },
            else_branch = e () => (float[3,40] v) { v = Cast <to=1> (rows) }> }""",
    STATISTICS: """
        (float16[N,40] x) => (float16[N,40] y)
        { a = MatMul (x, w)  b = Tanh (a)  y = BatchNormalization <epsilon = 0.0> (b, ones, zeros, mean, variance) }""",
    "integers behind": """
        (float16[N,40] x) => (int32[N,40] y, float16[N,40] z) { z = MatMul (x, w)  y = Cast <to=6> (z) }""",
    "a type in an attribute": """
        (float16[N,40] x) => (float16[N,40] y)
        { a = MatMul (x, w)  r = RandomUniformLike <dtype=10> (a)  q = Mul (r, zero)  y = Add (a, q) }""",
    "a weight of a layer and of a Loop": """
        (float16[N,40] x) => (float16[N,40] a, float16[N,40] y) { a = MatMul (x, w)
        y = Loop (three, yes, a) <body = g (int64 i, bool go, float16[N,40] c) => (bool on, float16[N,40] d)
            { on = Identity (go)  b = MatMul (c, w)  d = Tanh (b) }> }""",
}
CASES: Final = [
    (name, double) for name in GRAPHS for double in (False, True) if (name, double) != (STATISTICS, True)
]
"""By name and whether float64 stands for float16. ONNX Runtime has no float64 normalisation by float32."""
SAYS_HALF: Final = {"float16": "double", "to=10": "to=11", "dtype=10": "dtype=11"}
CONSTANTS: Final = {
    "rows": np.ones((3, 40), np.float16),
    "infinity": np.float16(np.inf),
    "ones": np.full(40, 1e-4, np.float16),
    "zeros": np.zeros(40, np.float16),
    "mean": np.zeros(40, np.float32),
    "variance": np.full(40, 1e-8, np.float32),
    "zero": np.float16(0),
    "empty": np.zeros((0, 40), np.float16),
    "three": np.int64(3),
    "yes": np.bool_(True),
}


def graph(name: str, *, double: bool = False) -> onnx.ModelProto:
    """One of them; with `double` float64 stands wherever float16 does."""
    text = GRAPHS[name]
    rng = np.random.default_rng(0)
    constants = CONSTANTS | {
        "w": (rng.standard_normal((40, 40)) / 6).astype(np.float16),
        "wide": (rng.standard_normal((40, 40)) / 6).astype(np.float32),
    }
    if double:
        text = re.sub("float16|to=10|dtype=10", lambda found: SAYS_HALF[found[0]], text)
        constants = {n: a.astype(np.float64) if a.dtype == np.float16 else a for n, a in constants.items()}
    used = {name: array for name, array in constants.items() if re.search(rf"[(,] ?{name}[,)]", text)}
    return parse(text, used, ir_version=8)


def feeds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Three rows for each input, as it declares them; True for a flag."""
    x = np.random.default_rng(1).standard_normal((3, 40))
    dtypes = {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    given = {n: onnx.helper.tensor_dtype_to_np_dtype(kind) for n, kind in dtypes.items()}
    return {n: np.array(True) if dtype == np.bool_ else x.astype(dtype) for n, dtype in given.items()}
