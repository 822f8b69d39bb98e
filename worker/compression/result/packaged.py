"""The result of a package: its graphs apart again, in a zip, and each measured by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.package_shapes import usual_shapes
from winnow.contract.report import GraphReport, Latency, PackageReport, Parity, Report
from worker.compression.data.model_inputs import Column, Constant
from worker.compression.data.samples import Samples
from worker.compression.data.source import Data
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.materials import Materials
from worker.compression.measure.compare import pair_of
from worker.compression.measure.feeds import BenchmarkData
from worker.compression.measure.timing.latency import measure_latencies
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.onnx_files.sizes import bytes_read_of, sha256_of
from worker.compression.options import Options
from worker.compression.packages.layout import Package, PackagedFile
from worker.compression.packages.write import WrittenGraph, WrittenPackage, write_package
from worker.compression.upload.upload import Upload

Input = TypeVar("Input", Column, Constant)


@dataclass(frozen=True)
class HandedOver:
    """The zip that is the artifact, and what was written into it."""

    path: Path
    package: Package
    written: WrittenPackage

    def told_in(self, report: Report, materials: Materials) -> Report:
        """The report with each graph's own row, of this file."""
        samples = _samples(materials)
        graphs = [
            self._row(graph, written, report.parity, samples, materials)
            for graph, written in zip(self.package.graphs, self.written.graphs, strict=True)
        ]
        shared = pair_of(self.package.shared_bytes, self.written.shared_bytes)
        return report.model_copy(
            update={
                "artifact_sha256": sha256_of(self.path),
                "graph_sha256": graph_sha256(self.path),
                "package": PackageReport(graphs=graphs, shared_bytes=shared),
            }
        )

    def _row(
        self,
        graph: PackagedFile,
        written: WrittenGraph,
        parity: Sequence[Parity],
        samples: Samples | None,
        materials: Materials,
    ) -> GraphReport:
        own = [entry for entry in parity if entry.output.startswith(graph.prefix)]
        return GraphReport(
            name=graph.name,
            file=graph.path.name,
            graph_sha256=written.sha256,
            size_bytes=pair_of(bytes_read_of(graph.path), bytes_read_of(written.path)),
            latency=_latency(graph, written.path, samples, materials),
            parity=[it.model_copy(update={"output": it.output.removeprefix(graph.prefix)}) for it in own],
        )


def sized(options: Options, upload: Upload, data: Data) -> Options:
    """The same with usual shapes of what the graphs leave open, where there is no data that has some."""
    if data.evaluation or data.calibration or data.whole:
        return options
    return replace(options, benchmark=usual_shapes(options.benchmark, inputs_of(upload.float32)))


def hand_over(whole: Path, package: Package, target: Path, materials: Materials) -> HandedOver:
    """Write the package whose graphs the file `whole` is as one."""
    written = write_package(whole, package, materials.scratch / "package", target)
    return HandedOver(target, package, written)


def _is_timed(options: Options) -> bool:
    return options.extent.times and not options.extent.brief


def _samples(materials: Materials) -> Samples | None:
    """What the graphs are timed on, for all of them."""
    data = materials.data
    return materials.samples(data.evaluation or data.calibration) if _is_timed(materials.options) else None


def _latency(
    graph: PackagedFile, candidate: Path, samples: Samples | None, materials: Materials
) -> list[Latency]:
    """The graph's own speed, before and after, on its part of the data."""
    options = materials.options
    if not _is_timed(options):
        return []
    own = None if samples is None else _own_part(graph, samples)
    work = BenchmarkData(_benchmark(graph, options.benchmark), own, options.seed)
    patience = Patience(materials.progress)
    with measuring(materials.progress):
        timed = measure_latencies(graph.path, candidate, work, lambda _: None, patience, options.target)
        return [each.latency for each in timed]


def _benchmark(graph: PackagedFile, benchmark: Benchmark) -> Benchmark:
    shapes = {
        name.removeprefix(graph.prefix): shape
        for name, shape in benchmark.shapes.items()
        if name.startswith(graph.prefix)
    }
    return benchmark.model_copy(update={"shapes": shapes})


def _own_part(graph: PackagedFile, samples: Samples) -> Samples:
    """The columns that are this graph's inputs, called as its file calls them."""
    columns, constants = _own_inputs(graph, samples.columns), _own_inputs(graph, samples.constants)
    return replace(samples, columns=columns, constants=constants)


def _own_inputs(graph: PackagedFile, inputs: Sequence[Input]) -> tuple[Input, ...]:
    own = (each for each in inputs if each.spec.name.startswith(graph.prefix))
    return tuple(replace(each, spec=_own_spec(graph, each.spec)) for each in own)


def _own_spec(graph: PackagedFile, spec: TensorSpec) -> TensorSpec:
    return spec.model_copy(update={"name": spec.name.removeprefix(graph.prefix)})
