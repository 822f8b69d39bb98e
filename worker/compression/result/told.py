"""What is told of a result besides the measurements, where it is asked for: what it looks at, and the page."""

from pathlib import Path

from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.materials import Materials
from worker.compression.result.fidelity.attributions import Attributions
from worker.compression.result.page.write import write_page


def told_in_full(
    report: Report, artifact: Path, recipe: Recipe | None, materials: Materials, out_dir: Path
) -> Report:
    """Return the report with its fidelity; write `page.html` into the folder."""
    options, seen = materials.options, Attributions()
    if options.explain:
        from worker.compression.result.fidelity.fidelity import attributions  # needs torch

        seen = attributions(artifact, materials)
        report = seen.told_in(report)
    if options.page:
        write_page(report, artifact, recipe, materials, out_dir, seen)
    return report
