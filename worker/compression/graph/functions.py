"""How large a model becomes when its functions are inlined, found by counting, without inlining.

A file of 1.6 kB with 25 functions that each call the one before twice expands to 2²⁵ nodes.
"""

from collections import Counter
from typing import Final

import onnx

from app.contract.errors import Refusal
from worker.compression.graph.operators import domain_of
from worker.compression.graph.walk import messages

MAX_NODES: Final = 500_000
MAX_BYTES: Final = 2**31
MAX_DEPTH: Final = 64

Key = tuple[str, str, str]
Size = tuple[int, int]


def check_expansion(model: onnx.ModelProto) -> None:
    """Bound nodes and bytes after inlining.

        size(f) = own nodes + Σ calls(g) · size(g)

    Raises `Refusal` `model_too_complex`; `invalid_model` for a function that calls itself.
    """
    bodies = {(domain_of(f), f.name, _overload(f)): f for f in model.functions}
    nodes, size = _expanded(model.graph, bodies, {}, ())
    if nodes > MAX_NODES or size > MAX_BYTES:
        raise Refusal(
            "model_too_complex",
            f"With its functions inlined this model has {nodes} nodes in {size} bytes; "
            f"{MAX_NODES} nodes and {MAX_BYTES} bytes are the most.",
        )


def _expanded(
    body: onnx.GraphProto | onnx.FunctionProto,
    bodies: dict[Key, onnx.FunctionProto],
    known: dict[Key, Size],
    callers: tuple[Key, ...],
) -> Size:
    keys = [(domain_of(n), str(n.op_type), _overload(n)) for n in messages(body, onnx.NodeProto)]
    nodes, size = len(keys), int(body.ByteSize())
    for key, calls in Counter(key for key in keys if key in bodies).items():
        if key in callers or len(callers) >= MAX_DEPTH:
            raise Refusal(
                "invalid_model", f"The function {key[1]!r} calls itself, or too many others in a row."
            )
        if key not in known:
            known[key] = _expanded(bodies[key], bodies, known, (*callers, key))
        nodes, size = nodes + calls * known[key][0], size + calls * known[key][1]
    return nodes, size


def _overload(item: onnx.NodeProto | onnx.FunctionProto) -> str:
    return str(item.overload)
