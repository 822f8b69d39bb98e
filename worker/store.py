"""From what the child left behind to what the record is to say. The child is not trusted: everything is checked.

Raises `Refusal` (`disk_full`), and `ValueError` for what is not as agreed.
"""

from pathlib import Path
from typing import Any

from app.contract.dataset import DatasetFacts
from app.contract.model import ModelFacts
from app.contract.report import Report
from app.storage.ports import Blobs
from app.storage.records import Job, Upload


def store(item: Upload | Job, result: dict[str, Any], folder: Path, blobs: Blobs) -> dict[str, Any]:
    """The changes with which to finish the record. The files are in the blobs when this returns."""
    match item:
        case Job():
            return _job(folder, blobs)
        case Upload(kind="model"):
            return _model(result, folder, blobs)
        case _:
            facts = DatasetFacts.model_validate(result["facts"])
            return {"state": "ready", "facts": facts.model_dump(mode="json"), "problem": None}


def _model(result: dict[str, Any], folder: Path, blobs: Blobs) -> dict[str, Any]:
    facts = ModelFacts.model_validate(result["facts"])
    converted = result.get("converted")
    sha256 = blobs.put_file(_inside(folder, Path(converted)))[0] if converted else None
    return {
        "state": "ready",
        "facts": facts.model_dump(mode="json"),
        "converted": sha256,
        "problem": None,
    }


def _job(folder: Path, blobs: Blobs) -> dict[str, Any]:
    report_file = _inside(folder, folder / "report.json")
    report = Report.model_validate_json(report_file.read_bytes())
    artifact_sha256, artifact_bytes = blobs.put_file(_inside(folder, folder / "artifact.onnx"))
    report_sha256, _ = blobs.put_file(report_file)
    return {
        "state": "succeeded",
        "outcome": report.outcome,
        "requirements": [entry.model_dump(mode="json") for entry in report.requirements],
        "artifact_sha256": artifact_sha256,
        "artifact_bytes": artifact_bytes,
        "report_sha256": report_sha256,
        "problem": None,
    }


def _inside(folder: Path, file: Path) -> Path:
    """The file, if it really lies in the folder: a link could have us publish any file of ours."""
    if file.is_symlink() or not file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{file} lies outside {folder}")
    return file
