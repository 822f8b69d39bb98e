"""Embedding tables in int8: by row, read as floats, folded by nobody."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto

from tests.support.encoders import embedding_net
from tests.support.graphs import node
from tests.support.small_nets import model, model_of, named, ops, optimized, run, samples, snr_db
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8, Int8Dynamic, Int8Static, Requirements
from worker.compression.apply import apply
from worker.compression.engine.working import as_module
from worker.compression.graph.facts.cost import parameters
from worker.compression.graph.facts.facts import facts
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.ir.edit import GraphEdit
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.quantization.integer.hardware import WeightRange
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.int8.candidates import Candidate
from worker.compression.quantization.search.int8.float_layers import FLOAT_WON, list_layers
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.quantization.search.sensitivity import measure_sensitivities
from worker.compression.steps.context import Context, StepResult

IDS = np.random.default_rng(3).integers(0, 2048, (48, 6))
STEPS = {"int8_dynamic": Int8Dynamic, "int8_static": Int8Static, "int8": Int8}


def quantized(net: ir.Model, folder: Path, kind: str = "int8_dynamic", **step: Any) -> StepResult:
    context = Context(folder, 0, Silent(), samples(folder, net, ids=IDS))
    return apply(net, STEPS[kind].model_validate({"kind": kind, **step}), context)


def stored(made: StepResult, folder: Path) -> int:
    model_files.save_single_file(made.model, folder / "out.onnx")
    return (folder / "out.onnx").stat().st_size


def row(made: StepResult, name: str = "words") -> dict[str, Any]:
    return next(row for row in made.details["layers"] if row["name"] == name)


@pytest.mark.parametrize("kind", ["int8_dynamic", "int8_static", "int8"])
def test_rows_are_int8_and_within_half_a_step_of_their_own_scale(kind: str, tmp_path: Path) -> None:
    step = {"prefer": "quality"} if kind == "int8" else {}
    made = quantized(embedding_net(), tmp_path, kind, **step)
    assert row(made) == {"name": "words", "op": "Gather", "quantized": True, "reason": None}
    gather = named(made.model, "words")
    assert gather.inputs[0].dtype == ir.DataType.INT8  # type: ignore[union-attr]
    before, after = (run(net, {"ids": IDS}, "rows") for net in (embedding_net(), made.model))
    step_size = np.abs(before).max(axis=-1, keepdims=True) / 127
    assert (np.abs(before - after) <= step_size * 0.501).all()
    assert stored(made, tmp_path) < 0.35 * 2048 * 64 * 4


def test_the_table_stays_int8_when_the_runtime_has_optimized_the_graph(tmp_path: Path) -> None:
    made = quantized(embedding_net(), tmp_path)
    assert "Cast" in optimized(made.model, tmp_path)
    assert (tmp_path / "optimized.onnx").stat().st_size < 0.35 * 2048 * 64 * 4


@pytest.mark.parametrize("pattern", ["words", "table", "tab*"])
@pytest.mark.parametrize("kind", ["int8_dynamic", "int8_static", "int8"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_pattern_may_name_the_gather_or_the_table(
    kind: str, pattern: str, tied: bool, tmp_path: Path
) -> None:
    step = {"prefer": "quality"} if kind == "int8" else {}
    made = quantized(embedding_net(tied=tied), tmp_path, kind, exclude=[pattern], **step)
    assert row(made)["reason"] == "excluded by pattern"
    assert named(made.model, "words").inputs[0].name == "table"  # type: ignore[union-attr]
    if kind == "int8" and tied:  # the head's integers come on top of the table: a larger file
        assert (made.changed, made.details["chosen"]) == (0, "float")
    else:
        assert row(made, "head")["reason"] is None


def uneven_net() -> ir.Model:
    """One channel is 3000 times the others, and masked away before the product: rows in int8 lose all the others."""
    rng = np.random.default_rng(5)
    weights = {
        "table": rng.normal(size=(2048, 64)).astype(np.float32),
        "mask": np.ones(64, np.float32),
        "w": rng.normal(size=(16, 64)).astype(np.float32),
    }
    weights["table"][:, 0] = 3000
    weights["mask"][0] = 0
    return model(
        """(int64[N,6] ids) => (float[N,16] y) {
            [words] rows = Gather (table, ids)
            [mean] mean = ReduceMean <axes=[1], keepdims=0> (rows)
            [masked] masked = Mul (mean, mask)
            [head] y = Gemm <transB=1> (masked, w)
        }""",
        weights,
    )


@pytest.mark.parametrize("kind", ["int8_static", "int8"])
def test_the_search_leaves_a_sensitive_table_in_float(kind: str, tmp_path: Path) -> None:
    step = {"exclude": "auto"} if kind == "int8_static" else {"prefer": "quality"}
    made = quantized(uneven_net(), tmp_path, kind, **step)
    told = {one["name"]: one for one in made.details["sensitivity"]}
    assert set(told) == {"words", "head"}
    assert told["words"]["snr_db"] < 10 < 30 < told["head"]["snr_db"]
    assert (told["words"]["bytes_saved"], told["words"]["ms_saved"]) == (3 * 2048 * 64, None)
    assert made.details["exclusions"][0]["layers"] == ["words"]
    if kind == "int8_static":
        assert "sensitive" in row(made)["reason"]
        assert named(made.model, "words").inputs[0].dtype == ir.DataType.FLOAT  # type: ignore[union-attr]
        assert made.changed == 1
    else:
        (found,) = (one for one in made.details["candidates"] if one["name"].endswith("most sensitive"))
        assert found["snr_db"] > 30


@pytest.mark.parametrize("form", ["tied", "twice"])
def test_a_table_is_judged_with_all_that_read_it(form: str, tmp_path: Path) -> None:
    """Alone it could not be int8 at all, and would look harmless."""
    net = embedding_net(**{form: True})
    static = Static(
        GraphEdit(net), WeightRange(127, []), samples(tmp_path, net, ids=IDS), "minmax", embeddings=True
    )
    static.observe(lambda _: None)
    found = measure_sensitivities(static, OutputComparer(net, static.samples, tmp_path), {}, lambda _: None)
    told = {one.name: one.quality.snr_db for one in found}
    assert told.keys() == {"words", "head", "other"} | ({"again"} if form == "twice" else set())
    assert max(told.values()) < 80, "each moves the outputs"


def test_the_search_ends_where_two_layers_are_int8_together_or_not_at_all_and_keeps_the_limit(
    tmp_path: Path,
) -> None:
    table = np.random.default_rng(0).normal(size=(2048, 64)).astype(np.float32)
    net = model(
        """(int64[N,6] ids) => (float[N,6,64] y) {
            [words] rows = Gather (table, ids)
            [again] more = Gather (table, ids)
            [squares] y = Mul (rows, more)
        }""",
        {"table": table},
    )
    data, require = samples(tmp_path, net, ids=IDS), Requirements(min_cosine=0.9999999)
    context = Context(tmp_path, 0, Silent(), data, require=require)
    made = apply(net, Int8Static.model_validate({"kind": "int8_static", "exclude": "auto"}), context)
    assert made.changed == 0
    assert "Even with every layer but one in float" in made.notes[-1]
    assert ops(made.model) == ops(net)


def test_the_float_model_says_of_no_layer_that_another_one_keeps_it(tmp_path: Path) -> None:
    net = embedding_net(tied=True)
    told = list_layers(GraphEdit(net), Candidate("float", "float", lambda: net), with_data=True)
    reasons = {str(layer.node.name): layer.reason for layer in told}
    assert reasons["words"] == reasons["head"] == FLOAT_WON
    assert reasons["places"] == "its table is small"


def test_what_a_pattern_excludes_and_small_tables_stay(tmp_path: Path) -> None:
    made = quantized(embedding_net(), tmp_path, exclude=["words"])
    assert row(made)["reason"] == "excluded by pattern"
    assert row(made, "places")["reason"] == "its table is small"
    assert named(made.model, "words").inputs[0].name == "table"  # type: ignore[union-attr]


def test_columns_and_not_finite_tables_stay(tmp_path: Path) -> None:
    assert "whole rows" in row(quantized(embedding_net(axis=1), tmp_path))["reason"]
    net = embedding_net()
    table = net.graph.initializers["table"].const_value.numpy().copy()  # type: ignore[union-attr]
    table[7, 7] = np.nan
    net.graph.initializers["table"].const_value = ir.tensor(table, name="table")
    assert "NaN" in row(quantized(net, tmp_path))["reason"]


@pytest.mark.parametrize("kind", ["int8_dynamic", "int8_static"])
def test_a_table_tied_to_a_product_is_quantized_in_both_or_stays(kind: str, tmp_path: Path) -> None:
    """Both leave no float behind; a product that stays float keeps the table for both."""
    both = quantized(embedding_net(tied=True), tmp_path, kind)
    assert row(both)["quantized"]
    assert "table" not in both.model.graph.initializers
    assert snr_db(run(embedding_net(tied=True), {"ids": IDS}), run(both.model, {"ids": IDS})) > 25
    one = quantized(embedding_net(tied=True), tmp_path, kind, exclude=["head"])
    assert row(one)["reason"] == "others read it as floats"
    assert named(one.model, "head").op_type == "Gemm"


def test_two_gathers_of_one_table_share_its_integers(tmp_path: Path) -> None:
    made = quantized(embedding_net(twice=True), tmp_path)
    assert named(made.model, "words").inputs[0] is named(made.model, "again").inputs[0]
    assert stored(made, tmp_path) < 0.35 * 2048 * 64 * 4


@pytest.mark.parametrize("weight_range", ["full", "reduced"])
@pytest.mark.parametrize("kind", ["int8_dynamic", "int8_static"])
def test_a_tied_table_is_stored_and_counted_once(kind: str, weight_range: str, tmp_path: Path) -> None:
    """In the range that products need; the product is the same integer kernel as ever."""
    net, settings = embedding_net(tied=True), {"bias_correction": False} if kind == "int8_static" else {}
    made = quantized(embedding_net(tied=True), tmp_path, kind, weight_range=weight_range, **settings)
    after = normalise(made.model)
    assert parameters(after) == parameters(net)
    assert stored(made, tmp_path) < 1.45 * 2048 * 64
    kernels = optimized(after, tmp_path)
    assert kernels.count("QGemm" if kind == "int8_static" else "MatMulIntegerToFloat") == 2
    for value in ("rows", "y"):
        assert snr_db(*(run(one, {"ids": IDS}, value) for one in (net, after))) > 33


@pytest.mark.parametrize("kind", ["int8_dynamic", "int8_static"])
def test_a_weight_of_two_products_is_stored_and_counted_once(kind: str, tmp_path: Path) -> None:
    def net() -> ir.Model:
        made = embedding_net()
        other = named(made, "other")
        other.replace_input_with(1, named(made, "head").inputs[1])
        made.graph.initializers.pop("v")
        return made

    settings = {"bias_correction": False} if kind == "int8_static" else {}
    made = quantized(net(), tmp_path, kind, **settings)
    assert parameters(normalise(made.model)) == parameters(net())
    for value in ("y", "z"):
        assert snr_db(*(run(one, {"ids": IDS}, value) for one in (net(), made.model))) > 30


@pytest.mark.parametrize("kind", ["int8_dynamic", "int8_static", "int8"])
def test_a_model_of_nothing_but_an_int8_table_is_quantized_already(kind: str, tmp_path: Path) -> None:
    """It has no operator that says so; the scales of its rows are no small table."""
    nodes = [
        node("Gather", "table ids", "rows", "words"),
        node("ReduceMean", "rows", "y", "mean", axes=[1], keepdims=0),
    ]
    table = np.random.default_rng(0).normal(size=(2048, 64)).astype(np.float32)
    outputs = {"y": ["N", 64]}
    net = model_of(nodes, {"ids": ["N", 6]}, outputs, {"table": table}, inputs_are=TensorProto.INT64)
    assert not facts(net).quantized
    once = quantized(net, tmp_path).model
    assert facts(once).quantized
    with pytest.raises(Refusal, match="'words', which reads 'table_quantized' as int8") as caught:
        quantized(once, tmp_path, kind)
    assert (caught.value.problem.code, caught.value.problem.layer) == ("already_quantized", "words")
    assert "float32 model" in caught.value.problem.detail


def test_for_tensorrt_tables_stay_float(tmp_path: Path) -> None:
    made = quantized(embedding_net(), tmp_path, "int8_static", target="cuda")
    assert named(made.model, "words").inputs[0].dtype == ir.DataType.FLOAT  # type: ignore[union-attr]


def test_the_same_numbers_and_layers_are_counted_before_and_after(tmp_path: Path) -> None:
    before, after = facts(embedding_net()), facts(quantized(embedding_net(), tmp_path).model)
    assert after.parameters == before.parameters
    tables_of = [[(x.name, x.weight) for x in one.layers if x.op == "Gather"] for one in (before, after)]
    assert [name for name, _ in tables_of[1]] == [name for name, _ in tables_of[0]]


def test_the_scales_of_rows_are_not_trained(tmp_path: Path) -> None:
    """Their int8 rows stay as they are: a scale that moved alone would move whole rows."""
    made = quantized(embedding_net(), tmp_path, "int8_static")
    parameters = dict(as_module(made.model).named_parameters())
    assert parameters
    assert not [name for name in parameters if name.startswith("table")]
