"""What is written of a result: the report, then what both models look at where that is asked for, then whether another
runtime is faster, then the page."""

from pathlib import Path
from typing import Final

from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.materials import Materials
from worker.compression.result.fidelity.attributions import Attributions
from worker.compression.result.fidelity.measured import measured_attributions
from worker.compression.result.next_steps.other_runtime import with_other_runtime
from worker.compression.result.page.write import write_page
from worker.compression.result.whole_file import write_whole

REPORT: Final = "report.json"
CUT_SHORT: Final = Attributions(
    why="the work was ended before it was. A report page that is made later measures it."
)
"""What the report says from before they are measured."""
NOT_MADE_UP_FOR: Final = Attributions(
    why="the work was ended before it was, and for this page it could not be made up for."
)
"""What a page says that was made later, of such a report, without measuring them."""


def write_results(
    report: Report, artifact: Path, recipe: Recipe | None, materials: Materials, out_dir: Path
) -> Report:
    """Write `report.json` into the folder, once more with its fidelity where that is asked for, once more with a
    runtime that is faster, and then, where it is asked for, `page.html`: whatever ends this process behind the first
    costs these and no more. Returns the report with both."""
    options, seen = materials.options, Attributions()
    if options.explain:
        _write(CUT_SHORT.told_in(report), out_dir)
        seen = measured_attributions(artifact, materials)
        report = seen.told_in(report)
    _write(report, out_dir)
    elsewhere = with_other_runtime(report, artifact, recipe, materials)
    if elsewhere is not report:
        report = elsewhere
        _write(report, out_dir)
    if options.page:
        write_page(report, artifact, recipe, materials, out_dir, options.names, seen)
    return report


def _write(report: Report, out_dir: Path) -> None:
    write_whole(out_dir / REPORT, report.model_dump_json(indent=1).encode())
