"""Every kind of step makes the same graph again: in another process, with other hashes of strings and other addresses.

What chooses by time (`int8`, `mixed_precision` for speed, pruning for latency) is left out, as the docs say.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support.graphs import cnn
from tests.support.lookup_nets import language_model
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import AnyStep
from worker.compression.apply import apply
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.measure.timing.quiet import WAIT_VARIABLE
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

ROOT: Final = Path(__file__).parents[3]
TRAINING: Final = {"steps": 2, "batch_size": 8}
BY_TIME: Final = {"int8"}
RECIPES: Final[list[list[dict[str, Any]]]] = [
    [{"kind": "int8_static", "equalize": True}],
    [{"kind": "int8_static"}, {"kind": "quantization_aware_training", **TRAINING}],
    [{"kind": "int8_dynamic"}],
    [{"kind": "weight_only", "method": "gptq", "bits": 3}],
    [{"kind": "weight_only", "method": "awq", "bits": 3}],
    [{"kind": "mixed_precision", "max_size_ratio": 0.6}],
    [{"kind": "palette", "codebook": "channel"}, {"kind": "finetune", **TRAINING}],
    [{"kind": "binary"}],
    [{"kind": "no_op", "seconds": 0}],
    [{"kind": "simplify", "opset": 20}],
    [{"kind": "float16"}],
    [{"kind": "bfloat16"}],
    [{"kind": "channel_pruning", "scope": "isomorphic", "round_to": 1}],
    [{"kind": "depth_pruning", "samples": 16}],
    [{"kind": "vocabulary_pruning"}, {"kind": "low_rank", "rank": "parameters"}],
    [{"kind": "student", "width": 0.5, "init": "fresh"}],
    [{"kind": "sparsity", "criterion": "hessian"}],
    [{"kind": "low_rank"}, {"kind": "distillation", "batchnorm": "restored", **TRAINING}],
]


def made(folder: Path) -> list[str]:
    """The hash of what each recipe makes, all bits and all names of it; `folder` is empty."""
    rng = np.random.default_rng(0)
    arrays = {"image": rng.standard_normal((32, 3, 4, 4), np.float32), "labels": rng.integers(0, 10, 32)}
    arrays["ids"] = rng.integers(0, 30, (32, 5))
    np.savez(folder / "data.npz", **arrays)
    return [_hash(_made(steps, folder)) for steps in RECIPES]


def _made(steps: list[dict[str, Any]], folder: Path) -> ir.Model:
    def opened(inputs: list[TensorSpec]) -> Samples:
        return open_samples(Source(folder / "data.npz"), inputs, folder)

    looks_up = steps[0]["kind"] == "vocabulary_pruning"
    original = language_model("tied") if looks_up else normalise(ir.from_proto(cnn(channels=8, size=4)))
    net = original.clone()
    for step in steps:
        (scratch := folder / str(len(list(folder.iterdir())))).mkdir()
        context = Context(
            scratch,
            0,
            Silent(),
            opened(inputs_of(original)),
            curves=scratch / "curves",
            seen=lambda inputs: [opened(inputs)],
            training=opened,
            model=lambda _: original.clone(),
        )
        parsed: AnyStep = TypeAdapter(AnyStep).validate_python(step)
        net = normalise(apply(net, parsed, context).model)
    return net


def _hash(net: ir.Model) -> str:
    return hashlib.sha256(ir.to_proto(net).SerializeToString(deterministic=True)).hexdigest()


def test_every_step_makes_the_same_graph_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all kinds, with `PYTHONHASHSEED` 1 there."""
    monkeypatch.setenv(WAIT_VARIABLE, "0")  # no time decides here
    kinds = {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(AnyStep)[0])}
    assert {step["kind"] for steps in RECIPES for step in steps} == kinds - BY_TIME
    (here := tmp_path / "here").mkdir()
    (there := tmp_path / "there").mkdir()
    code = (
        "import json, sys, pathlib; from tests.worker.compression.test_deterministic import made; "
        "print(json.dumps(made(pathlib.Path(sys.argv[1]))))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(
        [sys.executable, "-c", code, there], env=environment, check=True, capture_output=True, text=True
    )
    assert json.loads(other.stdout.splitlines()[-1]) == made(here)
