"""What an answer depends on besides its own input, and what the figures depend on: a sentence for each."""

from winnow.contract.robustness import Invariance, sentences
from worker.compression.result.page.blocks import Paragraph, Section
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section | None:
    robustness = subject.report.robustness
    if robustness is None:
        return None
    cut_off, exact = robustness.without_vnni.cut_off_db, robustness.without_vnni.exact_db
    worse = {
        "Neighbours": _came_in(robustness.neighbours),
        "Padding": _came_in(robustness.padding),
        "CPUs without VNNI": cut_off is not None and (exact is None or cut_off < exact),
    }
    blocks = [
        Paragraph(says, "bad" if worse.get(about) else "", f"{about}: ")
        for about, says in sentences(robustness)
    ]
    return Section("robustness", "Robustness", blocks)


def _came_in(fact: Invariance) -> bool:
    """Whether the result depends on what the original does not depend on."""
    return (
        fact.before is not None and fact.after is not None and fact.after.depends and not fact.before.depends
    )
