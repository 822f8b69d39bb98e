"""Remember in the model which layers were made sparse: once weights are 8-bit numbers their own zeros no longer tell,
since rounding makes zeros too."""

import json
from collections.abc import Iterable
from typing import Final

import onnx_ir as ir

KEY: Final = "winnow.sparse_layers"


def remember_sparse(model: ir.Model, names: Iterable[str]) -> None:
    """Add these nodes to those that are known already."""
    if known := sparse_layers(model) | set(names):
        model.metadata_props[KEY] = json.dumps(sorted(known))


def sparse_layers(model: ir.Model) -> set[str]:
    """Return the names of the nodes; none from a record that is not ours."""
    try:
        names = json.loads(model.metadata_props.get(KEY, "[]"))
    except ValueError:
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
