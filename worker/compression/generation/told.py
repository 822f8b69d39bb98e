"""A job whose package generates: its data becomes what the loop feeds, and its report tells of the loop."""

from dataclasses import dataclass, replace

from winnow.contract.generate import Generate
from winnow.contract.report import Report
from worker.compression.data.source import Data
from worker.compression.data.split import split_data
from worker.compression.generation.capture import captured
from worker.compression.generation.measured import measure_generation
from worker.compression.generation.prepared import Generation
from worker.compression.materials import Materials
from worker.compression.packages.layout import Package
from worker.compression.packages.write import WrittenPackage


@dataclass(frozen=True)
class InALoop:
    """`data` is the job's own, one dataset already in parts."""

    generation: Generation
    data: Data

    def fed(self, materials: Materials) -> Materials:
        """The same with rows of what every graph is fed with. Raises what `captured` does."""
        return replace(
            materials, data=captured(self.data, self.generation, replace(materials, data=self.data))
        )

    def told_in(self, report: Report, written: WrittenPackage, materials: Materials) -> Report:
        """The report with both loops measured."""
        if report.package is None or materials.options.judging == "trial":
            return report
        made = measure_generation(self.generation, self.data, written, materials)
        return report.model_copy(update={"package": report.package.model_copy(update={"generation": made})})


def in_a_loop(generate: Generate, package: Package, materials: Materials) -> InALoop:
    """Raises what `plan_of` and `split_data` raise."""
    generation, data = Generation.of(generate, package, materials), materials.data
    if data.whole is not None:
        data = split_data(data.whole, generation.samples(data.whole, materials), materials.options.seed)
    return InALoop(generation, data)
