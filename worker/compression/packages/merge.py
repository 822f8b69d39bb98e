"""Make one graph of those of a package: side by side, their names apart, and weights that are the same one weight."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir
from onnx import version_converter

from winnow.contract.errors import Refusal
from worker.compression.graph.normal_form.normalise import NameOnce
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.graph.opset.conversion import opset_of, raise_opset
from worker.compression.ir.default_opset import default_opset
from worker.compression.ir.values import graph_of, tensor_of
from worker.compression.onnx_files import model_files
from worker.compression.packages.layout import Package, PackagedFile
from worker.compression.packages.prefix import with_prefix

MIN_SHARED_BYTES: Final = 64
"""Smaller constants are axes, shapes and scales; that they are equal means nothing."""


def merged(package: Package, path: Path, *, max_bytes: int) -> int:
    """Write all graphs as one model to `path`. Returns the bytes of weights that stand in more than one of them.

    Raises `Refusal` `invalid_model` naming the graph that does not go with the others, `model_too_complex` where
    weights are more than `max_bytes`: those that lie over each other in a file are each written by itself.
    """
    protos = [model_files.read(graph.path) for graph in package.graphs]
    opset = max(map(default_opset, protos))
    prepared = (_prepared(graph, proto, opset) for graph, proto in zip(package.graphs, protos, strict=True))
    whole = _side_by_side(list(prepared))
    model = model_files.from_proto(whole, package.graphs[0].path.parent)
    for graph in package.graphs:  # what is hashed
        _check_bytes(graph.path.name, _weights(model, graph.prefix), max_bytes)
    tidy(model)
    NameOnce()(model)  # bodies beside each other may use the same names
    shared = _share(model, package)
    _check_bytes("The package", _weights(model), max_bytes)
    model_files.save(model, path)
    return shared


def _weights(model: ir.Model, prefix: str = "") -> int:
    """Count bytes of weights whose names begin so, those of bodies too."""
    weights = (item for graph in model.graphs() for item in graph.initializers.items())
    named = (value.const_value for name, value in weights if name.startswith(prefix))
    return sum(tensor.nbytes for tensor in named if tensor is not None)


def _check_bytes(what: str, weights: int, most: int) -> None:
    if weights > most:
        raise Refusal(
            "model_too_complex",
            f"{what} has {weights} bytes of weights, and {most} is the most that an upload may become. Let weights not "
            "lie over each other in a file of external data.",
        )


def _prepared(graph: PackagedFile, proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """What was read of the graph, of this opset, its names its own. External weights stay where they are."""
    if default_opset(proto) != opset:
        proto = _raised(graph, proto, opset)
    for entry in proto.metadata_props:
        entry.key = graph.prefix + entry.key
    with_prefix(proto, graph.prefix)
    return proto


def _raised(graph: PackagedFile, proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    model = model_files.from_proto(proto, graph.path.parent)
    try:
        return ir.to_proto(raise_opset(model, opset))
    except (version_converter.ConvertError, RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise Refusal(
            "invalid_model",
            f"The graphs of a package have one opset; {graph.path.name} has {opset_of(model)}, another {opset}, and "
            f"it cannot be raised: {' '.join(str(error).split())[:300]}. Export all graphs for the same opset.",
        ) from error


def _side_by_side(models: list[onnx.ModelProto]) -> onnx.ModelProto:
    whole = onnx.ModelProto()
    whole.ir_version = max(model.ir_version for model in models)
    whole.producer_name = models[0].producer_name
    whole.graph.name = "package"
    versions: dict[str, int] = {}
    for model in models:
        for entry in model.opset_import:
            versions[entry.domain] = max(entry.version, versions.get(entry.domain, 0))
        whole.metadata_props.extend(model.metadata_props)
        for field in ("node", "initializer", "input", "output", "value_info", "quantization_annotation"):
            getattr(whole.graph, field).extend(getattr(model.graph, field))
    for domain, version in versions.items():
        whole.opset_import.add(domain=domain, version=version)
    return whole


def _share(model: ir.Model, package: Package) -> int:
    """Let graphs, and bodies inside them, read the same weight, in place; equal ones of one graph or body stay apart,
    as they were uploaded. What bodies share lies in the graph around all."""
    first: dict[tuple[object, ...], ir.Value] = {}
    shared = 0
    for key, value in _keyed(model, package):
        same = first.setdefault(key, value)
        if same is value:
            continue
        if same.graph is not value.graph:
            _move(same, model.graph)
        value.replace_all_uses_with(same)
        del graph_of(value).initializers[str(value.name)]
        shared += tensor_of(value).nbytes
    return shared


def _move(value: ir.Value, graph: ir.Graph) -> None:
    if value.graph is not graph:
        del graph_of(value).initializers[str(value.name)]
        graph.register_initializer(value)


def _keyed(model: ir.Model, package: Package) -> Iterator[tuple[tuple[object, ...], ir.Value]]:
    """Each weight with what the same weight elsewhere has too: type, shape, bytes, and its place among those of its
    graph or body that are equal. Those of the main graph come first."""
    seen: Counter[tuple[object, ...]] = Counter()
    for graph in model.graphs():
        for name, value in list(graph.initializers.items()):
            tensor = value.const_value
            if (
                tensor is None
                or tensor.dtype is ir.DataType.STRING
                or tensor.nbytes < MIN_SHARED_BYTES
                or value.is_graph_input()
                or value.is_graph_output()
            ):
                continue
            key = (tensor.dtype, tuple(tensor.shape), hashlib.sha256(tensor.tobytes()).digest())
            owner = package.names_graph(name) if graph is model.graph else graph
            seen[id(owner), *key] += 1
            yield (*key, seen[id(owner), *key]), value
