"""Small float32 models whose values pass through subgraphs, sequences and optionals: x[N,4] → y[N,4].

Each has products before and behind, so that a step for layers has something to do on both sides.
"""

import re
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper, parser

HEAD: Final = '<ir_version: 8, opset_import: ["" : 18]>\n'
BODIES: Final = {
    "If": """
        m = ReduceSum <keepdims=0> (a)
        more = Greater (m, zero)
        b = If (more) <then_branch = t () => (float[N,4] u) { u = MatMul (a, w2) },
                       else_branch = e () => (float[N,4] v) { v = Neg (a) }>
    """,
    "Loop": """
        b, all = Loop (three, yes, a) <body = g (int64 i, bool go, float[N,4] c)
            => (bool on, float[N,4] d, float[N,4] row)
            { on = Identity (go)  d0 = MatMul (c, w2)  d = Tanh (d0)  row = Identity (d) }>
    """,
    "Scan": """
        b = Scan <num_scan_inputs = 1, body = g (float[4] c) => (float[4] d) { d = Mul (c, half) }> (a)
    """,
    "sequence": """
        s0 = SequenceConstruct (a, a)
        n = Neg (a)
        s = SequenceInsert (s0, n)
        first = SequenceAt (s, one)
        both = ConcatFromSequence <axis=0, new_axis=1> (s)
        b0 = ReduceMean <keepdims=0> (both, axis)
        b = Add (b0, first)
    """,
    "split": """
        s = SplitToSequence <axis=1, keepdims=1> (a, one)
        b = ConcatFromSequence <axis=1> (s)
    """,
    "empty sequence": """
        s0 = SequenceEmpty <dtype=1> ()
        s = SequenceInsert (s0, a)
        b = SequenceAt (s, nought)
    """,
    "sequence in a Loop": """
        s0 = SequenceEmpty <dtype=1> ()
        s = Loop (three, yes, s0) <body = g (int64 i, bool go, seq(float[N,4]) c)
            => (bool on, seq(float[N,4]) d) { on = Identity (go)  r = Relu (a)  d = SequenceInsert (c, r) }>
        b = SequenceAt (s, one)
    """,
    "optional": """
        o = Optional (a)
        b = OptionalGetElement (o)
    """,
    "given from outside": """
        b0 = Relu (a)
        b = If (yes_of_x) <then_branch = t () => (float[N,4] u) { u = Identity (b0) },
                           else_branch = e () => (float[N,4] v) { v = Identity (x) }>
    """,
}


def through(kind: str) -> onnx.ModelProto:
    """The model with this between its products."""
    values = ", all" if kind == "Loop" else ""
    declared = ", float[3,N,4] all" if values else ""
    text = f"""{HEAD} graph (float[N,4] x) => (float[N,4] y{declared}) {{
        s_of_x = ReduceSum <keepdims=0> (x)
        yes_of_x = Greater (s_of_x, zero)
        a = MatMul (x, w1)
        {BODIES[kind]}
        c = MatMul (b, w3)
        y = Add (c, bias)
    }}"""
    model = parser.parse_model(text)
    rng = np.random.default_rng(0)
    constants = {name: (rng.standard_normal((4, 4)) / 2).astype(np.float32) for name in ("w1", "w2", "w3")}
    constants |= {"zero": np.float32(0), "half": np.float32(0.5), "bias": np.ones(4, np.float32)}
    constants |= {"three": np.int64(3), "one": np.int64(1), "nought": np.int64(0), "yes": np.bool_(True)}
    constants |= {"axis": np.array([0])}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in constants.items()
        if re.search(rf"[(,] ?{name}[,)]", text)
    )
    return model
