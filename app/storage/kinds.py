"""Which kind of record an id names, and what is published when one waits."""

from collections.abc import Collection, Iterable
from typing import Final

from app.storage.ids import Prefix, study_of
from app.storage.records import Family, Inquiry, Item, Job, Queue, Study, Trial, Upload, Wake
from winnow.contract.capability import CPU, INSPECT, queue_for

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


USUAL: Final[dict[Family, Queue]] = {"inspect": INSPECT, "work": CPU}
"""The queue of what needs nothing particular."""


def family_of(queue: Queue) -> Family:
    return "inspect" if queue == INSPECT else "work"


def families_of(capabilities: Collection[str]) -> list[Family]:
    """What a worker takes from: uploads, which are quick, before all else."""
    return sorted({family_of(name) for name in capabilities})


def needs_of(item: Item) -> tuple[str, ...]:
    """What a worker has to have for it, sorted."""
    return (INSPECT,) if isinstance(item, Upload | Inquiry) else item.needs


def queue_of(item: Item) -> Queue:
    return queue_for(needs_of(item))


def by_age(items: Iterable[Item]) -> list[Item]:
    """Each once, the oldest first."""
    return sorted({item.id: item for item in items}.values(), key=lambda item: (item.created_at, item.id))


def wake_of(item: Item) -> Wake:
    """What to publish when it waits: of a job that searches, its study."""
    searches = isinstance(item, Job) and item.searches
    return Wake(queue=queue_of(item), id=study_of(item.id) if searches else item.id)
