"""Look at both models once more, for the page alone: bounded in time, and never a reason to have no page."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from winnow.contract.errors import Refusal
from worker.compression.result.page.looking.depth import depths
from worker.compression.result.page.looking.differing import differing
from worker.compression.result.page.looking.moved import moved
from worker.compression.result.page.looking.pair import Pair, Unseen
from worker.compression.result.page.looking.timed import timed
from worker.compression.result.page.seen import Seen
from worker.compression.result.page.subject import Subject

log = logging.getLogger(__name__)

PARTS: Final[tuple[tuple[str, Callable[[Pair], dict[str, Any]]], ...]] = (
    ("The depth of layers", depths),
    ("Times of layers", timed),
    ("Outputs of layers", moved),
    ("Names of classes", lambda pair: {"classes": pair.classes}),
    ("Samples that differ", differing),
)
"""What is looked at, by the words that say it could not be; each makes fields of `Seen`."""

GONE: Final = (
    "The job's model or data is gone: the page shows what the report says, and nothing was measured for it."
)
LARGE: Final = "The model is large: layers and samples were not looked at one by one."


def look(subject: Subject) -> Seen:
    materials = subject.materials
    if materials is None or materials.upload.is_large:
        return Seen(why=[GONE if materials is None else LARGE])
    pair, seen = Pair.of(subject, materials), Seen()
    for what, part in PARTS:
        try:
            seen = replace(seen, **part(pair))
        except Unseen as why:
            seen = replace(seen, why=[*seen.why, f"{what}: {why}"])
        except Refusal as refusal:
            seen = replace(seen, why=[*seen.why, f"{what} are not shown: {refusal.problem.detail}"])
        except Exception as error:
            log.exception("%s could not be looked at", what)
            seen = replace(seen, why=[*seen.why, f"{what} could not be looked at ({type(error).__name__})."])
    return seen
