"""The recipe that was done, with every setting written out: sent again it does the same."""

import json
from typing import Final

from winnow.contract.bundle.recipe_file import as_chosen, chooses_by_time
from worker.compression.result.page.blocks import Block, Code, Paragraph, Section
from worker.compression.result.page.subject import Subject

MOST: Final = 300_000
"""Characters of a recipe."""


def section(subject: Subject) -> Section:
    recipe = subject.recipe
    if recipe is None or not recipe.steps:
        said = "No step changed anything: the result is the upload, tidied."
        return Section("recipe", "Recipe", [Paragraph(said)])
    recipe = as_chosen(recipe, subject.report)
    body = {"recipe": recipe.model_dump(mode="json"), "seed": subject.report.seed}
    told = "In the body of a job with the same model and data it gives the same graph"
    timed = [f"step {n} ({step.kind})" for n, step in enumerate(recipe.steps, 1) if chooses_by_time(step)]
    told += f", but for what is chosen by time: {', '.join(timed)}." if timed else "."
    text = json.dumps(body, indent=2, ensure_ascii=False)
    long = f"It has {len(text):,} characters, too many for a page. The bundle has it, in a file of its own."
    blocks: list[Block] = [Paragraph(told), Code(text) if len(text) <= MOST else Paragraph(long)]
    return Section("recipe", "Recipe", blocks)
