"""Describe the inputs and outputs of a file without reading its weights."""

from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from winnow.contract.model import TensorSpec
from worker.compression.graph.facts.batch_axis import Axes
from worker.compression.graph.facts.facts import spec
from worker.compression.onnx_files.single_file import without_raw_data


@dataclass(frozen=True)
class Interface:
    """What has to be fed, and what comes out, in the order of the file."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


def interface_of(path: Path, axes: Axes) -> Interface:
    """Read what the file declares; inputs with a default need not be fed, and are left out."""
    graph = without_raw_data(path).graph
    defaults = {tensor.name for tensor in graph.initializer}
    inputs, outputs = (
        [_declared(info, axes) for info in infos]
        for infos in ([info for info in graph.input if info.name not in defaults], graph.output)
    )
    return Interface(inputs, outputs)


def _declared(info: onnx.ValueInfoProto, axes: Axes) -> TensorSpec:
    """Some exporters write a negative size for one that is open, and runtimes read it so."""
    declared = spec(ir.serde.deserialize_value_info_proto(info, None), axes)
    sizes = [None if isinstance(size, int) and size < 0 else size for size in declared.shape]
    return declared.model_copy(update={"shape": sizes})
