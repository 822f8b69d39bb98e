"""Make the page of a report. A page that cannot be made costs nobody a job: the log says why there is none."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.materials import Materials
from worker.compression.names import Names
from worker.compression.result.fidelity.attributions import Attributions
from worker.compression.result.page.looking.look import look
from worker.compression.result.page.render import render
from worker.compression.result.page.subject import Subject
from worker.compression.result.whole_file import write_whole

log = logging.getLogger(__name__)

PAGE: Final = "page.html"
MAX_BYTES: Final = 3 * 10**6


def write_page(
    report: Report,
    artifact: Path,
    recipe: Recipe | None,
    materials: Materials | None,
    out_dir: Path,
    names: Names,
    attributions: Attributions | None = None,
) -> bool:
    """Write `page.html` into the folder; False where it cannot be made, which is logged."""
    try:
        subject = Subject(report, artifact, recipe, materials, attributions or Attributions(), names=names)
        content = page_of(replace(subject, seen=look(subject)))
        write_whole(out_dir / PAGE, content)
    except Exception as error:
        log.exception("the page could not be made")
        if materials is not None:
            said = f"The report page could not be made ({type(error).__name__}); the report itself is whole."
            materials.progress.log(said, "warning")
        return False
    return True


def page_of(subject: Subject) -> bytes:
    """Raises `ValueError` where it would be larger than a page may be."""
    content = render(subject).encode("utf-8", "replace")
    if len(content) > MAX_BYTES:
        raise ValueError(f"the page has {len(content):,} bytes, more than {MAX_BYTES:,}")
    return content
