"""What a package's graphs are, each by itself."""

from collections import Counter
from collections.abc import Iterable, Sequence

from winnow.contract.model import PackagedGraph, TensorSpec
from worker.compression.ir.known_operators import default_opset
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import bytes_read_of
from worker.compression.packages.layout import Package, PackagedFile
from worker.compression.packages.prefix import without_prefix


def graphs_of(
    package: Package, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], layers: Iterable[str]
) -> list[PackagedGraph]:
    """Describe each graph, in the order of their names, by inputs, outputs and names of layers of the one graph."""
    counted = Counter(owner.name for name in layers if (owner := package.names_graph(name)) is not None)
    return [_described(graph, inputs, outputs, counted[graph.name]) for graph in package.graphs]


def _described(
    graph: PackagedFile, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], layers: int
) -> PackagedGraph:
    proto = without_raw_data(graph.path)
    return PackagedGraph(
        name=graph.name,
        file=graph.path.name,
        opset=default_opset(proto),
        inputs=[_own(spec, graph) for spec in inputs if spec.name.startswith(graph.prefix)],
        outputs=[_own(spec, graph) for spec in outputs if spec.name.startswith(graph.prefix)],
        size_bytes=bytes_read_of(graph.path),
        layers=layers,
    )


def _own(spec: TensorSpec, graph: PackagedFile) -> TensorSpec:
    """The input or output as the graph's own file says it."""
    shape = [without_prefix(size, graph.prefix) if isinstance(size, str) else size for size in spec.shape]
    return spec.model_copy(update={"name": spec.name.removeprefix(graph.prefix), "shape": shape})
