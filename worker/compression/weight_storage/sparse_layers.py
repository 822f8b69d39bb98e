"""Which layers were made sparse, kept with the model: once weights are 8-bit numbers their own zeros no longer tell,
since rounding makes zeros too."""

import json
from collections.abc import Iterable
from typing import Final

import onnx_ir as ir

KEY: Final = "winnow.sparse_layers"


def remember(model: ir.Model, names: Iterable[str]) -> None:
    """Add these nodes to those that are known already."""
    if known := recalled(model) | set(names):
        model.metadata_props[KEY] = json.dumps(sorted(known))


def recalled(model: ir.Model) -> set[str]:
    """The nodes' names; none from a record that is not ours."""
    try:
        found = json.loads(model.metadata_props.get(KEY, "[]"))
    except ValueError:
        return set()
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()
