"""What can be done about a requirement that is not met: where it likeliest comes from, and what to try next."""

from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.materials import Materials
from worker.compression.result.causes.cause import with_causes
from worker.compression.result.causes.gather import gather
from worker.compression.result.next_steps.suggest import next_steps


def explain(report: Report, recipe: Recipe, materials: Materials) -> Report:
    """Return the report with causes and suggestions; as it is where everything is met."""
    if all(entry.met for entry in report.requirements):
        return report
    evidence = gather(report, recipe, materials)
    return with_causes(evidence).model_copy(update={"next_steps": next_steps(evidence, recipe, materials)})
