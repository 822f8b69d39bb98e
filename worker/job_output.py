"""Store what the child left behind and say what its record becomes. The child is not trusted: everything is checked.

Raises `Refusal` (`disk_full`), `StoreAway`, and `ValueError` for what is not as agreed.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from app.storage.plain_file import open_plain
from app.storage.ports import Blobs, StoreAway
from app.storage.records import Inquiry, Item, Job, Trial, Upload
from winnow.contract.dataset import DatasetFacts, Rejected
from winnow.contract.errors import Problem
from winnow.contract.inquiry import Preview, Proposal
from winnow.contract.model import ModelFacts
from winnow.contract.report import Report
from winnow.contract.trial_result import result_of
from worker.child.spec import ANSWER_FILE, Message
from worker.curves import pack

log = logging.getLogger(__name__)

ARTIFACT, REPORT, PAGE = "artifact.onnx", "report.json", "page.html"

MAX_REPORT_BYTES = 64 * 2**20
"""More than twenty thousand layers take."""
MAX_PAGE_BYTES = 3 * 10**6


class Inspected(Message):
    """The result of inspecting a model."""

    facts: ModelFacts
    converted: Path | None = None
    unpacked_bytes: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class Described(Message):
    """The result of inspecting a dataset; `index` says where the members of an archive lie."""

    facts: DatasetFacts
    index: Path | None = None


def store_results(
    item: Item, result: dict[str, Any], folder: Path, curves: Path, blobs: Blobs
) -> dict[str, Any]:
    """Return the changes that finish the record. The files are in the blobs when this returns."""
    match item:
        case Job():
            return _job(read_report(folder), folder, blobs) | _curves(curves, blobs)
        case Trial():
            return _trial(folder, blobs)
        case Inquiry():
            return _inquiry(item, folder, blobs)
        case Upload(kind="model"):
            return _model(result, folder, blobs)
        case _:
            return _dataset(result, folder, blobs)


def store_of_failed(problem: Problem, folder: Path, curves: Path, blobs: Blobs) -> dict[str, Any]:
    """Store what a failed job still has to give: curves, and the best weights of a training that diverged.

    It has failed already: what cannot be stored is logged and left.
    """
    parts: list[Callable[[], dict[str, Any]]] = [lambda: _curves(curves, blobs)]
    if problem.code == "training_diverged":
        parts.append(lambda: _artifact(folder, blobs))
    changes: dict[str, Any] = {}
    for part in parts:
        try:
            changes |= part()
        except StoreAway:
            raise
        except Exception as error:
            log.warning("%s: not everything could be stored of a failed job: %s", folder, error)
    return changes


def _dataset(result: dict[str, Any], folder: Path, blobs: Blobs) -> dict[str, Any]:
    """Of what does not fit its declaration the arrays are facts, too."""
    if "rejected" in result:
        rejected = Rejected.model_validate(result["rejected"])
        fields = rejected.model_dump(mode="json")
        return {"state": "rejected", "facts": {"arrays": fields["arrays"]}, "problem": fields["problem"]}
    described = Described.model_validate(result)
    return {
        "state": "ready",
        "facts": described.facts.model_dump(mode="json"),
        "converted": _stored(described.index, folder, blobs),
        "problem": None,
    }


def _model(result: dict[str, Any], folder: Path, blobs: Blobs) -> dict[str, Any]:
    inspected = Inspected.model_validate(result)
    size = {"size_bytes": inspected.unpacked_bytes} if inspected.unpacked_bytes is not None else {}
    return {
        "state": "ready",
        "facts": inspected.facts.model_dump(mode="json"),
        "converted": _stored(inspected.converted, folder, blobs),
        "problem": None,
        **size,
    }


def _stored(file: Path | None, folder: Path, blobs: Blobs) -> str | None:
    return None if file is None else blobs.put_file(_inside(folder, file))[0]


def _inquiry(inquiry: Inquiry, folder: Path, blobs: Blobs) -> dict[str, Any]:
    """The answer as it was understood, in bytes of ours; a page as it is, which nothing may run."""
    if inquiry.kind == "page":
        return {"state": "ready", "answer_sha256": _page(folder, blobs), "problem": None}
    kind: type[Proposal | Preview] = Proposal if inquiry.kind == "propose" else Preview
    answer = kind.model_validate_json(_bounded(_inside(folder, folder / ANSWER_FILE)))
    writer = blobs.writer()
    try:
        writer.write(answer.model_dump_json().encode())
        sha256, _ = writer.commit()
    finally:
        writer.abort()
    return {"state": "ready", "answer_sha256": sha256, "problem": None}


def read_report(folder: Path) -> Report:
    """Read the report that a child has left in its folder."""
    return Report.model_validate_json(_bounded(_inside(folder, folder / REPORT)))


def _job(report: Report, folder: Path, blobs: Blobs) -> dict[str, Any]:
    artifact = _artifact(folder, blobs)
    report_sha256, _ = blobs.put_file(folder / REPORT)
    return {
        "state": "succeeded",
        "outcome": report.outcome,
        "requirements": [entry.model_dump(mode="json") for entry in report.requirements],
        "report_sha256": report_sha256,
        "page_sha256": _page_if_made(folder, blobs),
        "graph_sha256": report.graph_sha256,
        "problem": None,
        **artifact,
    }


def _trial(folder: Path, blobs: Blobs) -> dict[str, Any]:
    report = read_report(folder)
    made = _job(report, folder, blobs)
    files = ("artifact_sha256", "artifact_bytes", "report_sha256", "page_sha256", "graph_sha256", "problem")
    return {"state": "finished", "result": result_of(report), **{name: made[name] for name in files}}


def _bounded(file: Path) -> bytes:
    with open_plain(file) as opened:
        content = opened.read(MAX_REPORT_BYTES + 1)
    if len(content) > MAX_REPORT_BYTES:
        raise ValueError(f"{file} is larger than {MAX_REPORT_BYTES:,} bytes")
    return content


def _artifact(folder: Path, blobs: Blobs) -> dict[str, Any]:
    sha256, size = blobs.put_file(_inside(folder, folder / ARTIFACT))
    return {"artifact_sha256": sha256, "artifact_bytes": size}


def _page(folder: Path, blobs: Blobs) -> str:
    file = _inside(folder, folder / PAGE)
    if (size := file.stat().st_size) > MAX_PAGE_BYTES:
        raise ValueError(f"the page has {size:,} bytes, more than {MAX_PAGE_BYTES:,}")
    return blobs.put_file(file)[0]


def _page_if_made(folder: Path, blobs: Blobs) -> str | None:
    """No job is lost for its page, unless the disk is full."""
    if not (folder / PAGE).exists():
        return None
    try:
        return _page(folder, blobs)
    except StoreAway:  # it will be asked again
        raise
    except (ValueError, OSError) as error:
        log.warning("%s: the page could not be kept: %s", folder, error)
        return None


def _curves(folder: Path, blobs: Blobs) -> dict[str, Any]:
    """Nothing when the job trained nothing. A job is never lost for its curves, unless the disk is full."""
    try:
        packed = pack(_inside(folder.parent, folder), blobs)
    except StoreAway:  # it will be asked again
        raise
    except (ValueError, OSError) as error:
        log.warning("%s: the curves could not be kept: %s", folder, error)
        packed = None
    return {} if packed is None else {"curves_sha256": packed[0], "curves_bytes": packed[1]}


def _inside(folder: Path, file: Path) -> Path:
    """The file, if it really lies in the folder: a link could have us publish any file of ours."""
    if file.is_symlink() or not file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{file} lies outside {folder}")
    return file
