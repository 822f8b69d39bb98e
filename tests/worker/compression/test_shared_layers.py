"""Layers that read one weight (a detector's head on every scale, the layers of ALBERT): it is stored once, and computes
what it would compute in copies."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir import external_data

from tests.support.graphs import node
from tests.support.small_nets import model_of, run, samples
from winnow.contract.recipe import Finetune, Recipe
from worker.compression.apply import apply
from worker.compression.engine.working import as_module
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.layers.input_moments import Moments, moments
from worker.compression.layers.linear import layers_by_weight
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult
from worker.compression.training.sparsity_masks import plan_sparsity
from worker.compression.weight_storage.sparse_layers import sparse_layers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 16, 8, 8)).astype(np.float32)
WEIGHTS = {
    "kernel": RNG.standard_normal((64, 16, 3, 3)).astype(np.float32),
    "matrix": RNG.standard_normal((64, 48)).astype(np.float32),
}
EQUAL = 1e-4
"""Relative to the largest output: float32 sums in another order."""
DATA_FREE = [
    {"kind": "weight_only", "bits": 4, "block": 32},
    {"kind": "weight_only", "bits": 3, "block": 0},
    {"kind": "palette", "colors": 8},
    {"kind": "binary"},
    {"kind": "sparsity", "criterion": "magnitude", "sparsity": 0.5},
    {"kind": "low_rank", "rank": "energy", "energy": 0.5, "data_aware": False},
]
STEPS = [
    *DATA_FREE,
    {"kind": "weight_only", "bits": 4, "method": "gptq", "block": 32},
    {"kind": "sparsity", "criterion": "hessian", "structure": "2:4"},
    {"kind": "low_rank", "rank": "energy", "energy": 0.8, "data_aware": True},
]


def head(*, shared: bool) -> ir.Model:
    """A convolution and a product over two scales; without `shared` each has a copy of its weight."""
    copies = {} if shared else {"kernel2": WEIGHTS["kernel"], "matrix2": WEIGHTS["matrix"]}
    k2, m2 = ("kernel", "matrix") if shared else copies
    nodes = [
        node("AveragePool", "x", "small", "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "x kernel", "a", "conv1", pads=[1, 1, 1, 1]),
        node("Conv", f"small {k2}", "b", "conv2", pads=[1, 1, 1, 1]),
        node("ReduceMean", "a", "c", "mean1", axes=[2, 3], keepdims=0),
        node("ReduceMean", "b", "d", "mean2", axes=[2, 3], keepdims=0),
        node("MatMul", "c matrix", "y", "product1"),
        node("MatMul", f"d {m2}", "z", "product2"),
    ]
    return model_of(nodes, {"x": ["N", 16, 8, 8]}, {"y": ["N", 48], "z": ["N", 48]}, {**WEIGHTS, **copies})


def done(net: ir.Model, folder: Path, **step: Any) -> StepResult:
    folder.mkdir()
    (asked,) = Recipe.model_validate({"steps": [step]}).steps
    made = apply(net, asked, Context(folder, 0, Silent(), samples(folder, net, x=X)))
    return replace(made, model=external_data.load_to_model(normalise(made.model)))


def answers(made: StepResult) -> list[Any]:
    return [run(made.model, {"x": X}, name) for name in ("y", "z")]


def size(net: ir.Model, folder: Path) -> int:
    model_files.save_single_file(net, folder / "net.onnx")
    return (folder / "net.onnx").stat().st_size


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_each_reader_changes_and_the_weight_is_stored_once(step: dict[str, Any], tmp_path: Path) -> None:
    """Less than 0.6 of the bytes that copies take: what else there is are nodes."""
    one = done(head(shared=True), tmp_path / "one", **step)
    two = done(head(shared=False), tmp_path / "two", **step)
    assert size(one.model, tmp_path) < 0.6 * size(two.model, tmp_path)
    assert all(np.isfinite(y).all() for y in answers(one))


@pytest.mark.parametrize("step", DATA_FREE, ids=str)
def test_without_data_it_computes_what_copies_do(step: dict[str, Any], tmp_path: Path) -> None:
    one = done(head(shared=True), tmp_path / "one", **step)
    two = done(head(shared=False), tmp_path / "two", **step)
    for mine, theirs in zip(answers(one), answers(two), strict=True):
        assert np.abs(mine - theirs).max() < EQUAL * np.abs(theirs).max()


def test_moments_are_those_of_all_readers(tmp_path: Path) -> None:
    """To 1e-12 of the largest."""
    one, two = (list(_moments(head(shared=shared), tmp_path)) for shared in (True, False))
    for both, first, second in zip(one, two[::2], two[1::2], strict=True):
        assert both.rows == first.rows + second.rows
        assert np.allclose(both.hessian, first.hessian + second.hessian, rtol=1e-12, atol=0)


def _moments(net: ir.Model, folder: Path) -> Iterator[Moments]:
    found = moments(net, layers_by_weight(net), samples(folder, net, x=X), lambda _: None)
    return (sums for layer, sums in sorted(found, key=lambda pair: pair[0].name))


@pytest.mark.parametrize("step", [step for step in STEPS if step["kind"] != "sparsity"], ids=str)
def test_the_report_says_whose_weight_it_is(step: dict[str, Any], tmp_path: Path) -> None:
    made = done(head(shared=True), tmp_path / "one", **step)
    rows = {row["name"]: row for row in made.details["layers"]}
    assert made.changed == made.candidates == 4
    assert rows["conv2"]["weight_of"] == "conv1"
    assert rows["product2"]["weight_of"] == "product1"
    assert "weight_of" not in rows["conv1"]


@pytest.mark.parametrize("kind", ["weight_only", "palette", "binary"])
def test_where_a_pattern_names_one_reader_all_stay(kind: str, tmp_path: Path) -> None:
    made = done(head(shared=True), tmp_path / "one", kind=kind, exclude=["conv2"])
    rows = {row["name"]: row for row in made.details["layers"]}
    assert rows["conv2"]["reason"] == "excluded by pattern"
    assert rows["conv1"]["reason"] == "a layer with the same weight is excluded by pattern"
    assert rows["product1"]["quantized"]


def test_sparsity_leaves_it_too(tmp_path: Path) -> None:
    made = done(
        head(shared=True), tmp_path / "one", kind="sparsity", criterion="magnitude", exclude=["conv2"]
    )
    assert [row["name"] for row in made.details["layers"]] == ["product1"]
    assert made.details["layers"][0]["twins"] == ["product2"]


def test_a_weight_that_something_else_reads_stays(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x w", "y", "product"),
        node("Add", "y w", "z", "sum"),
    ]
    w = RNG.standard_normal((64, 64)).astype(np.float32)
    other = RNG.standard_normal((64, 64)).astype(np.float32)
    nodes.append(node("MatMul", "z other", "out", "last"))
    net = model_of(nodes, {"x": [64, 64]}, {"out": [64, 64]}, {"w": w, "other": other})
    made = apply(
        net,
        Recipe.model_validate({"steps": [{"kind": "weight_only"}]}).steps[0],
        Context(tmp_path, 0, Silent()),
    )
    rows = {row["name"]: row for row in made.details["layers"]}
    assert (rows["product"]["reason"], rows["last"]["quantized"]) == (
        "its weight is shared with another node",
        True,
    )


def test_all_readers_are_remembered_where_zeros_grow() -> None:
    """In integers each may have a copy of its own, whose zeros are known by its name alone."""
    net = head(shared=True)
    step = Finetune.model_validate({"kind": "finetune", "gradual": {"sparsity": 0.5}})
    found = plan_sparsity(net, as_module(net), step)
    assert sparse_layers(net) == {"conv1", "conv2", "product1", "product2"}
    assert [row["name"] for row in found.details()] == ["conv1", "product1"]
