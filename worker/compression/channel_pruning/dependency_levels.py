"""Sorts layers by what they depend on."""

from collections.abc import Sequence

import onnx_ir as ir

from worker.compression.layers.linear import Linear


def dependency_levels(model: ir.Model, layers: Sequence[Linear], before: ir.Model) -> list[list[Linear]]:
    """Group the layers behind the first change from `before`, in order: together those that are independent.

    A node is changed when a shape of its constants is, or when what reaches it is.
    """
    wanted = {layer.name: layer for layer in layers}
    depth: dict[str, int] = {}
    changed: set[str] = set()
    by_level: dict[int, list[Linear]] = {}
    for node in model.graph:
        names = [str(value.name) for value in node.inputs if value is not None]
        new = any(name in changed or _differs(name, model, before) for name in names)
        level = max((depth.get(name, 0) for name in names), default=0)
        if new and (layer := wanted.get(str(node.name))) is not None:
            by_level.setdefault(level, []).append(layer)
            level += 1
        for value in node.outputs:
            depth[str(value.name)] = level
            if new:
                changed.add(str(value.name))
    return [by_level[level] for level in sorted(by_level)]


def _differs(name: str, model: ir.Model, before: ir.Model) -> bool:
    new, old = (each.graph.initializers.get(name) for each in (model, before))
    if new is None or old is None or new.const_value is None or old.const_value is None:
        return False
    return tuple(new.const_value.shape) != tuple(old.const_value.shape)
