"""Residuals before layer normalisations: the same numbers, and no slow kernel of two in one."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import node
from tests.support.small_nets import model_of, named, optimized, run, samples
from winnow.contract.recipe import Int8Dynamic, Int8Static
from worker.compression.apply import apply
from worker.compression.ir.edit import GraphEdit
from worker.compression.progress import Silent
from worker.compression.quantization.preparation.unfuse_skip_layernorm import unfuse_skip_layernorms
from worker.compression.steps.context import Context

X = np.random.default_rng(0).normal(size=(32, 5, 16)).astype(np.float32)


def encoder(*, kept: bool = False, rank: int = 3) -> ir.Model:
    """A product, its residual and their normalisation; `kept`: the sum is read once more, as before the next block."""
    weights: dict[str, Any] = {
        "w": np.random.default_rng(1).normal(size=(16, 16)).astype(np.float32),
        "scale": np.ones(16, np.float32),
        "shift": np.zeros(16, np.float32),
    }
    nodes = [
        node("MatMul", "x w", "p", "product"),
        node("Add", "x p", "r", "residual"),
        node("LayerNormalization", "r scale shift", "y", "norm"),
    ]
    shape: list[Any] = ["N", 5, 16][3 - rank :]
    outputs = {"y": shape}
    if kept:
        nodes.append(node("Relu", "r", "z", "more"))
        outputs["z"] = shape
    return model_of(nodes, {"x": shape}, outputs, weights)


def test_the_runtime_fuses_nothing_and_the_numbers_are_the_same(tmp_path: Path) -> None:
    net = encoder()
    assert "SkipLayerNormalization" in optimized(net, tmp_path)
    before = run(net, {"x": X})
    assert unfuse_skip_layernorms(GraphEdit(net)) == 1
    assert named(net, "residual").op_type == "Sum"
    assert "SkipLayerNormalization" not in optimized(net, tmp_path)
    np.testing.assert_allclose(run(net, {"x": X}), before, atol=1e-5)


@pytest.mark.parametrize(
    ("net", "patterns"),
    [(encoder(kept=True), []), (encoder(rank=2), []), (encoder(), ["res*"])],
    ids=["read twice", "matrices", "excluded"],
)
def test_what_is_not_fused_stays(net: ir.Model, patterns: list[str]) -> None:
    assert unfuse_skip_layernorms(GraphEdit(net, patterns)) == 0
    assert named(net, "residual").op_type == "Add"


@pytest.mark.parametrize(("target", "op"), [("auto", "Sum"), ("cuda", "Add")])
def test_static_quantization_does_it_for_cpus(target: str, op: str, tmp_path: Path) -> None:
    step = Int8Static.model_validate({"kind": "int8_static", "target": target})
    made = apply(encoder(), step, Context(tmp_path, 0, Silent(), samples(tmp_path, encoder(), x=X)))
    assert named(made.model, "residual").op_type == op


def test_dynamic_quantization_does_it(tmp_path: Path) -> None:
    step = Int8Dynamic(kind="int8_dynamic", weight_range="auto")
    made = apply(encoder(), step, Context(tmp_path, 0, Silent()))
    assert "SkipLayerNormalization" not in optimized(made.model, tmp_path)
