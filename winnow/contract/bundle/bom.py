"""The bill of materials of a result: CycloneDX 1.6 with a `modelCard` (https://cyclonedx.org/capabilities/mlbom).

Written as plain JSON: cyclonedx-python-lib has no model cards, and checks it in the tests (docs/decisions/0040).
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

from winnow.contract.bundle.files import ARTIFACT
from winnow.contract.bundle.recipe_file import closed_recipe
from winnow.contract.bundle.result import FinishedJob
from winnow.contract.exported import ExportedUpload
from winnow.contract.model import TensorSpec
from winnow.contract.other_models import named_models
from winnow.contract.report import Latency, Quality, Report

NAMESPACE: Final = uuid.UUID("5f3f6f6a-61b5-4d7c-8d3c-9d1f3b0b9a37")
"""Of serial numbers: those of one job and its artifact are always the same."""
RESULT: Final = "artifact"


def bill_of_materials(done: FinishedJob) -> str:
    """The JSON: the artifact with its model card, what it was made of, and the tools, each with hash or version."""
    materials = [_original(done), *_others(done), *_datasets(done)]
    dependencies = [{"ref": RESULT, "dependsOn": [each["bom-ref"] for each in materials]}]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(NAMESPACE, f"{done.id} {done.report.artifact_sha256}").urn,
        "version": 1,
        "metadata": {
            "timestamp": done.finished_at.isoformat(),
            "tools": {"components": [*_tools(done.report)]},
            "component": _artifact(done),
        },
        "components": materials,
        "dependencies": [*dependencies, *({"ref": each["bom-ref"]} for each in materials)],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _artifact(done: FinishedJob) -> dict[str, Any]:
    report, recipe = done.report, closed_recipe(done)
    steps = "" if recipe is None else json.dumps(recipe.model_dump(mode="json", exclude_defaults=True))
    facts = {
        "graph_sha256": report.graph_sha256,
        "job": done.id,
        "seed": str(report.seed),
        "recipe": steps,
        "file": ARTIFACT if report.package is None else ", ".join(it.file for it in report.package.graphs),
        "size_bytes": str(report.size_bytes.after),
        "cpu": report.environment.cpu,
        "cpu_flags": " ".join(report.environment.cpu_flags),
        "platform": report.environment.platform,
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": RESULT,
        "name": done.name,
        "version": report.graph_sha256[:12],
        "description": report.verdict.because,
        "hashes": _sha256(report.artifact_sha256),
        "modelCard": _model_card(done),
        "properties": [{"name": f"winnow:{name}", "value": value} for name, value in facts.items() if value],
    }


def _model_card(done: FinishedJob) -> dict[str, Any]:
    report = done.report
    task = next((quality.task for quality in report.quality if quality.task), None)
    parameters: dict[str, Any] = {} if task is None else {"task": task}
    if datasets := [{"ref": _ref(id)} for id, _ in done.datasets()]:
        parameters["datasets"] = datasets
    for name, specs in (("inputs", done.inputs), ("outputs", done.outputs)):
        if specs:
            parameters[name] = [{"format": _format(spec)} for spec in specs]
    metrics = [*map(_metric, report.quality), *_speeds(report.latency)]
    card: dict[str, Any] = {"modelParameters": parameters}
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if limits := [entry.why for entry in report.requirements if entry.why]:
        card["considerations"] = {"performanceTradeoffs": limits}
    return card


def _format(spec: TensorSpec) -> str:
    return (
        f"{spec.name}: {spec.dtype}[{', '.join('?' if size is None else str(size) for size in spec.shape)}]"
    )


def _metric(quality: Quality) -> dict[str, Any]:
    low, high = quality.after_interval
    return {
        "type": quality.metric,
        "value": str(quality.after),
        "slice": f"{quality.samples} samples{', held out' if quality.held_out else ''}",
        "confidenceInterval": {"lowerBound": str(low), "upperBound": str(high)},
    }


def _speeds(latency: list[Latency]) -> Iterator[dict[str, Any]]:
    for entry in latency:
        if entry.speedup is None or entry.speedup_interval is None:
            continue
        low, high = entry.speedup_interval
        yield {
            "type": "speedup",
            "value": str(entry.speedup),
            "slice": f"batch {entry.batch_size}, threads {entry.threads}, {entry.provider}",
            "confidenceInterval": {"lowerBound": str(low), "upperBound": str(high)},
        }


def _original(done: FinishedJob) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": _ref(done.request.model),
        "name": done.model_name,
        "version": done.report.source_sha256[:12],
        "hashes": _sha256(done.report.source_sha256),
    }


def _others(done: FinishedJob) -> Iterator[dict[str, Any]]:
    """Teachers and students."""
    recipe = closed_recipe(done)
    for id in () if recipe is None else named_models(recipe):
        if id != done.request.model:
            yield {"type": "machine-learning-model", **_named(id, done.upload(id))}


def _datasets(done: FinishedJob) -> Iterator[dict[str, Any]]:
    for id, roles in done.datasets():
        named = done.upload(id)
        about = {"type": "dataset", "name": ", ".join(roles)}
        yield {"type": "data", **_named(id, named), "data": [about]}


def _named(id: str, upload: ExportedUpload | None) -> dict[str, Any]:
    """What was deleted since has its id alone."""
    if upload is None:
        return {"bom-ref": _ref(id), "name": id}
    return {
        "bom-ref": _ref(id),
        "name": upload.name,
        "version": upload.sha256[:12],
        "hashes": _sha256(upload.sha256),
    }


def _tools(report: Report) -> Iterator[dict[str, Any]]:
    versions = {"winnow": report.winnow, **report.environment.versions}
    for name, version in versions.items():
        yield {"type": "application" if name == "winnow" else "library", "name": name, "version": version}


def _ref(id: str) -> str:
    return f"upload-{id}"


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]
