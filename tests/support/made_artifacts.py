"""The artifact of a recipe without its measurements: what a forecast of sizes is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.contract.forecast import StepForecast, forecast_steps
from winnow.contract.job import Benchmark
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import Recipe
from worker.compression.cache.checkpoint import Checkpoints
from worker.compression.data.source import Data, Source
from worker.compression.graph.facts.cost import macs
from worker.compression.materials import Materials
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result.artifact import finish
from worker.compression.run_steps import run_steps
from worker.compression.upload.inspection import inspect_model
from worker.compression.upload.upload import open_upload

CAP = 2**34
ORIGIN_BYTES = 480
"""Of `winnow.*` in the artifact of a job without evaluation, besides its recipe: hashes, CPU, speed-up, cosine."""
STATIC = {"kind": "int8_static", "calibration": "minmax", "samples": 8, "bias_correction": False}
PRUNE = {"kind": "channel_pruning", "criterion": "l2", "repair": False}
ZEROS = {"kind": "sparsity", "criterion": "magnitude"}
ROUND = {"kind": "weight_only", "method": "rtn"}
SPLIT = {"kind": "low_rank", "data_aware": False, "rank": "parameters", "amount": 0.4}

RECIPES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "int8_static": [STATIC],
    "int8_static, 4 bits": [{**STATIC, "weight_bits": 4}],
    "int8_dynamic": [{"kind": "int8_dynamic"}],
    "float16": [{"kind": "float16"}],
    "bfloat16": [{"kind": "bfloat16"}],
    "8 bits by channel": [{**ROUND, "bits": 8, "block": 0}],
    "4 bits": [ROUND],
    "4 bits, symmetric": [{**ROUND, "symmetric": True}],
    "3 bits": [{**ROUND, "bits": 3, "block": 128}],
    "2 bits": [{**ROUND, "bits": 2}],
    "4 bits, heads in 8": [{**ROUND, "head_bits": 8}],
    "products in 4 bits": [{**ROUND, "layers": "products"}],
    "palette of 16": [{"kind": "palette"}],
    "palette of 6 by channel": [{"kind": "palette", "colors": 6, "codebook": "channel"}],
    "binary": [{"kind": "binary"}],
    "half zeros": [ZEROS],
    "95 % zeros": [{**ZEROS, "sparsity": 0.95}],
    "zeros by shape": [{**ZEROS, "sparsity": 0.8, "distribution": "erdos_renyi"}],
    "2:4": [{**ZEROS, "structure": "2:4"}],
    "blocks of zeros": [{**ZEROS, "structure": "block", "sparsity": 0.7}],
    "zeros stored dense": [{**ZEROS, "storage": "dense"}],
    "half of the MACs": [{**PRUNE, "amount": 0.5}],
    "a third of the parameters": [{**PRUNE, "target": "parameters", "amount": 0.33}],
    "half of the channels, in rounds": [{**PRUNE, "target": "channels", "amount": 0.5, "rounds": 3}],
    "split": [SPLIT],
    "pruned, int8": [{**PRUNE, "amount": 0.5}, STATIC],
    "pruned, 4 bits": [{**PRUNE, "amount": 0.5}, ROUND],
    "pruned, palette": [{**PRUNE, "amount": 0.5}, {"kind": "palette"}],
    "zeros, palette": [{**ZEROS, "sparsity": 0.8}, {"kind": "palette"}],
    "zeros, int8": [{**ZEROS, "sparsity": 0.8}, STATIC],
    "zeros, float16": [{**ZEROS, "sparsity": 0.8}, {"kind": "float16"}],
}
"""Recipes whose sizes follow from their settings; they need few data or none, and run fast."""


@dataclass(frozen=True)
class Made:
    """A file's size and multiply-accumulates; `changed`: whether any step changed something."""

    size_bytes: int
    macs: int | None
    changed: bool


def made_artifact(
    model: Path,
    steps: Sequence[Mapping[str, Any]],
    calibration: Source,
    folder: Path,
    shapes: dict[str, list[int]] | None = None,
) -> Made:
    """Do the steps and write the artifact. Raises `Refusal` like `compress`."""
    folder.mkdir()
    recipe, options = (
        Recipe.model_validate({"steps": steps}),
        Options(benchmark=Benchmark(shapes=shapes or {})),
    )
    upload = open_upload(model, folder, max_unpacked_bytes=CAP)
    data = Data(calibration=calibration)
    materials = Materials(upload, data, folder, folder / "curves", Silent(), options)
    checkpoints = Checkpoints(folder / "checkpoints", "")
    graph, reports = run_steps(recipe.steps, materials, checkpoints, folder / "best.onnx")
    artifact = finish(graph, reports, recipe.steps, materials)
    changed = any(report.changed for report in reports)
    origin = ORIGIN_BYTES + len(recipe.model_dump_json(exclude_defaults=True))
    return Made(bytes_of(artifact.candidate) + origin, macs(artifact.graph), changed)


def inspected_facts(model: Path, folder: Path) -> ModelFacts:
    inspected = inspect_model(model, "onnx", [], folder, allow_torchscript=False, max_unpacked_bytes=CAP)
    return inspected.facts


def forecast_of(facts: ModelFacts, steps: Sequence[Mapping[str, Any]]) -> StepForecast:
    """Forecast the last step."""
    return forecast_steps(Recipe.model_validate({"steps": steps}).steps, facts, {})[-1]
