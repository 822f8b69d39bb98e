"""The main path: the sections of a page in their order, and the template that draws them."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from worker.compression.result.page.blocks import Section
from worker.compression.result.page.heading import done, heading
from worker.compression.result.page.sections import (
    arithmetic,
    before_after,
    classes,
    fidelity,
    graphs,
    latency,
    outputs,
    requirements,
    robustness,
    running,
    samples,
    verdict,
)
from worker.compression.result.page.sections.per_layer import histograms, layers, network, sensitivity
from worker.compression.result.page.sections.provenance import environment, recipe, steps, training
from worker.compression.result.page.subject import Subject

SECTIONS = (
    verdict.section,
    before_after.section,
    requirements.section,
    graphs.section,
    layers.section,
    latency.section,
    sensitivity.section,
    network.section,
    outputs.section,
    arithmetic.section,
    robustness.section,
    classes.section,
    samples.section,
    fidelity.section,
    training.section,
    histograms.section,
    steps.section,
    environment.section,
    running.section,
    recipe.section,
)
"""In the order of what a reader asks first. One that has nothing to say is left out."""


def render(subject: Subject) -> str:
    """Make the page: one HTML document without scripts, which names nothing outside itself."""
    made = (section(subject) for section in SECTIONS)
    sections: list[Section] = [section for section in made if section is not None]
    template = environment_of_templates().get_template("page.html")
    return template.render(
        sections=sections, heading=heading(subject), done=done(subject), report=subject.report
    )


@cache
def environment_of_templates() -> Environment:
    """Every text is escaped; a name that a template does not know is an error."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
