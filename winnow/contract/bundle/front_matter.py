"""The metadata at the head of a model card, as Hugging Face reads it: https://huggingface.co/docs/hub/model-cards.

What is not known is left out: no licence is guessed, and `base_model` is the name of the upload.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from winnow.contract.bundle.result import FinishedJob
from winnow.contract.report import Quality

PIPELINES: Final = {
    "segmentation": "image-segmentation",
    "detection": "object-detection",
    "embedding": "feature-extraction",
}
"""Tasks that have one name there, whatever the model takes."""
METRICS: Final = {
    "top1": "accuracy",
    "top5": "accuracy",
    "r2": "r_squared",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
"""Metrics that are called otherwise there."""
QUANTIZING: Final = frozenset(
    {"int8", "int8_static", "int8_dynamic", "weight_only", "mixed_precision", "palette", "binary"}
)


def front_matter(done: FinishedJob) -> str:
    """YAML between two lines of dashes."""
    return "\n".join(["---", *_lines(_metadata(done), ""), "---"])


def _metadata(done: FinishedJob) -> dict[str, Any]:
    changed = [step.kind for step in done.report.steps if step.changed]
    task = next((quality.task for quality in done.report.quality if quality.task), None)
    metadata: dict[str, Any] = {"library_name": "onnx"}
    if task in PIPELINES:
        metadata["pipeline_tag"] = PIPELINES[task]
    if done.upload(done.request.model) is not None:
        metadata["base_model"] = done.model_name
    if not QUANTIZING.isdisjoint(changed):
        metadata["base_model_relation"] = "quantized"
    metadata["tags"] = list(dict.fromkeys(["onnx", "winnow", *changed]))
    if done.report.quality:
        metadata["model-index"] = [{"name": done.name, "results": [_result(done)]}]
    return metadata


def _result(done: FinishedJob) -> dict[str, Any]:
    qualities = done.report.quality
    data = next((id for id, roles in done.datasets() if "evaluation" in roles), "")
    name = named.name if (named := done.upload(data)) else data
    task = next((quality.task for quality in qualities if quality.task), None) or "other"
    return {
        "task": {"type": PIPELINES.get(task, task)},
        "dataset": {"name": name, "type": re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "data"},
        "metrics": [_metric(quality) for quality in qualities],
    }


def _metric(quality: Quality) -> dict[str, Any]:
    name = f"{quality.metric}, {quality.samples} samples{'' if quality.held_out else ', not held out'}"
    return {"type": METRICS.get(quality.metric, quality.metric), "name": name, "value": quality.after}


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Block style; texts are quoted."""
    for key, item in value.items():
        match item:
            case dict():
                yield f"{indent}{key}:"
                yield from _lines(item, f"{indent}  ")
            case list():
                yield f"{indent}{key}:"
                for entry in item:
                    yield from _entry(entry, indent)
            case _:
                yield f"{indent}{key}: {_scalar(item)}"


def _entry(entry: Any, indent: str) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"{indent}- {_scalar(entry)}"
        return
    first, *rest = _lines(entry, f"{indent}  ")
    yield f"{indent}- {first.strip()}"
    yield from rest


def _scalar(value: Any) -> str:
    """JSON's halves of a sign beyond U+FFFF are two signs in YAML, and what is not printed may be none, or a line's
    end. YAML 1.1 takes `1e-05` for a text: a number has a point."""
    if isinstance(value, str):
        return '"' + "".join(map(_quoted, value)) + '"'
    text = json.dumps(value)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return text


def _quoted(sign: str) -> str:
    return sign if sign.isprintable() and sign not in '"\\' else f"\\U{ord(sign):08x}"
