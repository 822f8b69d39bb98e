"""What a loop is run on: its plan, the files of the graphs, and samples of the data one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.contract.generate import Generate
from winnow.contract.generation_plan import GenerationPlan, plan_of
from winnow.contract.model import TensorSpec
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.generation.loop import Feeds, Loop
from worker.compression.graph.facts.facts import inputs_of, outputs_of
from worker.compression.ir.arrays import Array
from worker.compression.machine.threads import usable_threads
from worker.compression.materials import Materials
from worker.compression.packages.facts import graphs_of
from worker.compression.packages.layout import Package

ORIGINAL, COMPRESSED = "the original", "the compressed package"


@dataclass(frozen=True)
class Generation:
    """How the package of a job generates. `inputs` are all of the one graph, `roots` those that data is given for."""

    settings: Generate
    plan: GenerationPlan
    package: Package
    inputs: list[TensorSpec]

    @classmethod
    def of(cls, settings: Generate, package: Package, materials: Materials) -> "Generation":
        """Raises what `plan_of` raises."""
        model = materials.upload.normal_form
        inputs = inputs_of(model)
        graphs = graphs_of(package, inputs, outputs_of(model), ())
        return cls(settings, plan_of(settings, graphs), package, inputs)

    @property
    def roots(self) -> list[TensorSpec]:
        needed = {*self.plan.roots}
        return [spec for spec in self.inputs if spec.name in needed]

    def original(self, threads: int | None = None) -> Loop:
        """The loop over the files as they came."""
        return self.loop({graph.name: graph.path for graph in self.package.graphs}, ORIGINAL, threads)

    def loop(self, files: dict[str, Path], role: str, threads: int | None = None) -> Loop:
        return Loop.opened(self.plan, files, self.settings.start_token, threads or usable_threads(), role)

    def samples(self, source: Source, materials: Materials) -> Samples:
        """The rows of the data, fed into the inputs that it is needed for. Raises what `open_samples` raises."""
        samples = materials.samples(source, self.roots)
        assert samples is not None, "there is a source"
        return samples


def singly(samples: Samples, most: int) -> Iterator[tuple[Feeds, Array | None]]:
    """Yield up to `most` samples by themselves, each with its label, in an order that rows of one shape share."""
    for row in samples.ordered_rows[:most]:
        fed, label = samples.at(np.asarray([row]))
        yield fed.feeds, label
