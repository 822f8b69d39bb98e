"""What is written of a result: the report, with what both models look at where that is asked for; then the page."""

from pathlib import Path
from typing import Final

from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.materials import Materials
from worker.compression.result.fidelity.attributions import Attributions
from worker.compression.result.page.write import write_page
from worker.compression.result.whole_file import write_whole

REPORT: Final = "report.json"


def write_results(
    report: Report, artifact: Path, recipe: Recipe | None, materials: Materials, out_dir: Path
) -> Report:
    """Write `report.json` into the folder and then, where it is asked for, `page.html`: whatever ends this process
    while it draws costs the page and no more. Returns the report with its fidelity."""
    options, seen = materials.options, Attributions()
    if options.explain:
        from worker.compression.result.fidelity.fidelity import attributions  # needs torch

        seen = attributions(artifact, materials)
        report = seen.told_in(report)
    write_whole(out_dir / REPORT, report.model_dump_json(indent=1).encode())
    if options.page:
        write_page(report, artifact, recipe, materials, out_dir, options.names, seen)
    return report
