"""The result of a package: its graphs apart again, in a zip, and each measured by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Benchmark
from winnow.contract.package_shapes import usual_shapes
from winnow.contract.report import GraphReport, Latency, PackageReport, Parity, Report
from worker.compression.data.samples import Samples
from worker.compression.data.source import Data
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.materials import Materials
from worker.compression.measure.compare import pair_of
from worker.compression.measure.timing.latency import measure_latencies
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.onnx_files.sizes import bytes_of, sha256_of
from worker.compression.options import Options
from worker.compression.packages.layout import Package, PackagedFile
from worker.compression.packages.write import WrittenGraph, WrittenPackage, write_package
from worker.compression.upload.upload import Upload


@dataclass(frozen=True)
class HandedOver:
    """The zip that is the artifact, and what was written into it."""

    path: Path
    package: Package
    written: WrittenPackage

    def told_in(self, report: Report, materials: Materials) -> Report:
        """The report with each graph's own row, of this file."""
        graphs = [
            self._row(graph, written, report.parity, materials)
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
        self, graph: PackagedFile, written: WrittenGraph, parity: Sequence[Parity], materials: Materials
    ) -> GraphReport:
        own = [entry for entry in parity if entry.output.startswith(graph.prefix)]
        return GraphReport(
            name=graph.name,
            file=graph.path.name,
            graph_sha256=written.sha256,
            size_bytes=pair_of(bytes_of(graph.path), bytes_of(written.path)),
            latency=_latency(graph, written.path, materials),
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


def _latency(graph: PackagedFile, candidate: Path, materials: Materials) -> list[Latency]:
    """The graph's own speed, before and after, on its part of the data."""
    options, data = materials.options, materials.data
    if not options.extent.times or options.extent.brief:
        return []
    with measuring(materials.progress):
        timed = measure_latencies(
            graph.path,
            candidate,
            _benchmark(graph, options.benchmark),
            _samples(graph, materials.samples(data.evaluation or data.calibration)),
            options.seed,
            lambda _: None,
            Patience(materials.progress),
            options.target,
        )
        return [each.latency for each in timed]


def _benchmark(graph: PackagedFile, benchmark: Benchmark) -> Benchmark:
    shapes = {
        name.removeprefix(graph.prefix): shape
        for name, shape in benchmark.shapes.items()
        if name.startswith(graph.prefix)
    }
    return benchmark.model_copy(update={"shapes": shapes})


def _samples(graph: PackagedFile, samples: Samples | None) -> Samples | None:
    """The columns that are this graph's inputs, called as its file calls them."""
    if samples is None:
        return None

    def own(spec_name: str) -> bool:
        return spec_name.startswith(graph.prefix)

    columns = tuple(
        replace(it, spec=it.spec.model_copy(update={"name": it.spec.name.removeprefix(graph.prefix)}))
        for it in samples.columns
        if own(it.spec.name)
    )
    constants = tuple(
        replace(it, spec=it.spec.model_copy(update={"name": it.spec.name.removeprefix(graph.prefix)}))
        for it in samples.constants
        if own(it.spec.name)
    )
    return replace(samples, columns=columns, constants=constants)
