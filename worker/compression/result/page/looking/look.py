"""Look at both models once more, for the page alone."""

from worker.compression.result.page.seen import Seen
from worker.compression.result.page.subject import Subject


def look(subject: Subject) -> Seen:
    return Seen()
