"""Operators that ONNX or ONNX Runtime bring along; others are refused: nothing a model needs may come from outside."""

from functools import cache
from typing import Final

import onnx
from onnx import defs
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from winnow.contract.errors import Refusal
from worker.compression.ir.protobuf_walk import messages

DOMAINS: Final = frozenset({"", "ai.onnx.ml", "com.microsoft"})
READS_FILES: Final = frozenset({"EPContext", "Snpe"})
"""Operators of com.microsoft that carry compiled code or the path of it."""

MAX_NAMED: Final = 5


def check_operators(model: onnx.ModelProto) -> None:
    """Refuse operators outside the allow-list, naming them; functions local to the model are fine.

    Raises `Refusal` `custom_operator`, with the first such node as its layer.
    """
    local = {(domain_of(function), function.name) for function in model.functions}
    foreign = [
        node
        for node in messages(model, onnx.NodeProto)
        if (domain_of(node), node.op_type) not in local and not _known(domain_of(node), node.op_type)
    ]
    if foreign:
        names = list(dict.fromkeys(f"{node.op_type} of {_named(node)}" for node in foreign))
        raise Refusal(
            "custom_operator",
            f"The model needs {', '.join(names[:MAX_NAMED])}{' and more' if len(names) > MAX_NAMED else ''}: "
            "operators that neither ONNX nor ONNX Runtime has. Export it without them, for example with pre- and "
            "post-processing left out of the graph.",
            layer=foreign[0].name or None,
        )


def domain_of(item: onnx.NodeProto | onnx.FunctionProto | onnx.OperatorSetIdProto) -> str:
    return "" if item.domain == "ai.onnx" else str(item.domain)


def default_opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses, 1 where it imports none."""
    return max((entry.version for entry in model.opset_import if domain_of(entry) == ""), default=1)


def _named(node: onnx.NodeProto) -> str:
    return f"the domain {node.domain!r}" if node.domain else "ONNX's own domain"


@cache
def _known(domain: str, operator: str) -> bool:
    return domain in DOMAINS and operator not in READS_FILES and (domain, operator) in _all()


@cache
def _all() -> frozenset[tuple[str, str]]:
    """Collect every (domain, operator) with a schema in onnx or in this build of ONNX Runtime."""
    schemas = [*defs.get_all_schemas_with_history(), *runtime.get_all_operator_schema()]
    return frozenset((schema.domain, schema.name) for schema in schemas)
