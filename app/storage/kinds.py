"""Which kind of record an id names, and what is published when one waits."""

from typing import Final

from app.storage.ids import Prefix, study_of
from app.storage.records import Inquiry, Item, Job, Queue, Study, Trial, Upload, Wake

_PREFIXES: Final[dict[type[Item], Prefix]] = {Inquiry: "inq", Job: "job", Study: "stu", Trial: "trl"}
"""Those of uploads say which kind of upload."""
_KINDS: Final[dict[str, type[Item]]] = {prefix: kind for kind, prefix in _PREFIXES.items()}


def kind_of(id: str) -> type[Item]:
    """An id of no known prefix is taken for an upload's: there will be none."""
    return _KINDS.get(id.split("_")[0], Upload)


def check_id(item: Item) -> None:
    """Raises `ValueError` when the id's prefix is not that of its kind: ids tell where a record is kept."""
    match item:
        case Upload():
            prefix = "mdl" if item.kind == "model" else "dst"
        case _:
            prefix = _PREFIXES[type(item)]
    if not item.id.startswith(f"{prefix}_"):
        raise ValueError(f"the id {item.id!r} does not start with '{prefix}_'")


def queue_of(id: str) -> Queue:
    return "inspect" if kind_of(id) in (Upload, Inquiry) else "work"


def wake_of(job: Job) -> Wake:
    """What to publish when a job waits: of one that searches, its study."""
    return Wake(queue="work", id=study_of(job.id) if job.searches else job.id)
