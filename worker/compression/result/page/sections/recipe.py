"""The recipe that was done, with every setting written out: sent again it does the same."""

import json
from collections.abc import Iterator

from winnow.contract.recipe import Recipe
from worker.compression.result.page.blocks import Block, Code, Paragraph, Section
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section:
    recipe = subject.recipe
    if recipe is None or not recipe.steps:
        said = "No step changed anything: the result is the upload, tidied."
        return Section("recipe", "Recipe", [Paragraph(said)])
    body = {"recipe": recipe.model_dump(mode="json"), "seed": subject.report.seed}
    told = "In the body of a job with the same model and data it gives the same graph"
    chosen = [*_chosen(subject, recipe)]
    told += f", but for what was chosen by time: {'; '.join(chosen)}." if chosen else "."
    blocks: list[Block] = [Paragraph(told), Code(json.dumps(body, indent=2, ensure_ascii=False))]
    return Section("recipe", "Recipe", blocks)


def _chosen(subject: Subject, recipe: Recipe) -> Iterator[str]:
    for step in subject.report.steps:
        chosen = step.details.get("chosen")
        if isinstance(chosen, str):
            yield f"step {step.index + 1} ({step.kind}) took {chosen!r}"
