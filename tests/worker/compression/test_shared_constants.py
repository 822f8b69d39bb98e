"""Constants with more than one purpose: statistics joined with weights, weights that the model answers too."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.small_nets import joined_batchnorms, model, proto, run, samples
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Recipe
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

RNG = np.random.default_rng(0)


def done(net: ir.Model, folder: Path, x: Any, **step: Any) -> StepResult:
    scratch = folder / "step"
    scratch.mkdir()
    (asked,) = Recipe.model_validate({"steps": [step]}).steps
    return apply(net, asked, Context(scratch, 0, Silent(), samples(folder, net, x=x)))


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "channel_pruning", "criterion": "taylor"},
        {"kind": "sparsity", "criterion": "taylor"},
        {"kind": "mixed_precision", "max_size_ratio": 0.8, "sensitivity": "hessian", "exclude": ["norm*"]},
    ],
    ids=lambda step: step["kind"],
)
def test_there_are_gradients_where_statistics_and_weights_are_one_constant(
    step: dict[str, Any], tmp_path: Path
) -> None:
    made = done(joined_batchnorms(), tmp_path, RNG.normal(size=(16, 4, 6, 6)).astype(np.float32), **step)
    assert made.changed > 0
    proto(made.model)


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "weight_only"},
        {"kind": "palette"},
        {"kind": "binary"},
        {"kind": "sparsity"},
        {"kind": "low_rank"},
        {"kind": "int8_static", "equalize": True, "smooth": 0.5},
    ],
    ids=lambda step: step["kind"],
)
def test_an_output_that_is_a_weight_stays_what_it_was(step: dict[str, Any], tmp_path: Path) -> None:
    weights = {
        "w1": RNG.normal(size=(64, 64)).astype(np.float32),
        "w2": RNG.normal(size=(64, 64)).astype(np.float32),
    }
    net = model(
        """(float[N,64] x) => (float[N,64] y, float[64,64] w1) {
            [one] a = MatMul (x, w1)
            [relu] r = Relu (a)
            [two] y = MatMul (r, w2)
        }""",
        weights,
    )
    x = RNG.normal(size=(32, 64)).astype(np.float32)
    made = done(net, tmp_path, x, **step)
    assert made.changed >= 1
    assert np.array_equal(run(made.model, {"x": x}, "w1"), weights["w1"])


@pytest.mark.parametrize("step", [{"kind": "low_rank"}, {"kind": "sparsity"}], ids=lambda step: step["kind"])
def test_a_product_of_nothing_is_no_crash(step: dict[str, Any], tmp_path: Path) -> None:
    net = model(
        "(float[N,4] x) => (float[N,0] y) { [none] y = MatMul (x, w) }", {"w": np.zeros((4, 0), np.float32)}
    )
    with pytest.raises(Refusal) as caught:
        done(net, tmp_path, np.ones((8, 4), np.float32), **step)
    assert caught.value.problem.code == "nothing_to_compress"
