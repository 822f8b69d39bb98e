"""Small networks that look ids up in tables: words, positions, segments, a head that is tied to the words or not."""

import re
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import model

IDS, WIDTH, PLACES = 60, 24, 12
"""A table of more than 4 KiB: smaller ones are folded into a transposed copy for their head."""
Head = Literal["none", "tied", "gemm", "copy", "own"]


def tables(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shapes = {"words": (IDS, WIDTH), "places": (PLACES, WIDTH), "kinds": (2, WIDTH), "own": (WIDTH, IDS)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return weights | {"bias": rng.normal(size=IDS).astype(np.float32), "copy": weights["words"].T.copy()}


def bert(*, before_lookup: str = "", ids: str = "ids") -> ir.Model:
    """Words, positions and segments that are inputs, added up: h [N, L, WIDTH]. `before_lookup` makes `ids`."""
    return model(
        f"""(int64[N,L] input_ids, int64[N,L] position_ids, int64[N,L] kind_ids) => (float[N,L,{WIDTH}] h) {{
            {before_lookup or "ids = Identity (input_ids)"}
            [word] w = Gather (words, {ids})
            [place] p = Gather (places, position_ids)
            [kind] k = Gather (kinds, kind_ids)
            s = Add (w, p)
            h = Add (s, k)
        }}""",
        {name: tables()[name] for name in ("words", "places", "kinds")},
    )


def language_model(head: Head, *, behind: str = "logits = Identity (scores)") -> ir.Model:
    """Words and a head with a logit for each: ids int64 [N, L] → logits [N, L, IDS]."""
    of_head = {
        "tied": "[turn] t = Transpose <perm=[1, 0]> (words)\n [head] m = MatMul (x, t)\n scores = Add (m, bias)",
        "copy": "[head] m = MatMul (x, copy)\n scores = Add (bias, m)",
        "own": "[head] m = MatMul (x, own)\n scores = Add (m, bias)",
        "gemm": "flat = Reshape (x, rows)\n [head] g = Gemm <transB=1> (flat, words, bias)\n"
        " shape = Shape (ids)\n count = Constant <value_ints=[-1]> ()\n full = Concat <axis=0> (shape, count)\n"
        " scores = Reshape (g, full)",
        "none": "scores = Identity (x)",
    }[head]
    width = WIDTH if head == "none" else IDS
    weights = {**tables(), "rows": np.array([-1, WIDTH])}
    text = f"""(int64[N,L] ids) => (float[N,L,{width}] logits) {{
            [word] w = Gather (words, ids)
            x = Tanh (w)
            {of_head}
            {behind}
        }}"""
    read = set(re.findall(r"\w+", text))
    return model(text, {name: array for name, array in weights.items() if name in read})
