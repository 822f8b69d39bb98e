"""Steps on weights work on layers in branches and bodies as on those of the main graph; what is left says why."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support.inner_graphs import TURNS, WIDTH, normal_form
from tests.support.ort import run
from tests.support.small_nets import samples
from winnow.contract.recipe import Recipe
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.ir.edit import new_constant
from worker.compression.ir.values import all_nodes
from worker.compression.onnx_files.model_files import weight_bytes
from worker.compression.progress import Silent
from worker.compression.runtime.observe import Observer
from worker.compression.steps.context import Context, StepResult

INSIDE = {"then/first", "then/second", "else/first", "else/second", "loop/turn"}
LAYERS = {"first", *INSIDE}
RNG = np.random.default_rng(1)
X = RNG.normal(size=(4, WIDTH)).astype(np.float32)


def applied(net: ir.Model, folder: Path, data: Samples | None = None, **step: Any) -> StepResult:
    (asked,) = Recipe.model_validate({"steps": [step]}).steps
    return apply(net, asked, Context(folder, 0, Silent(), data))


def answers(net: ir.Model) -> list[Any]:
    """With the one branch and with the other."""
    onnx.checker.check_model(ir.to_proto(net), full_check=True)
    return [run(net, {"x": X, "flag": np.array(flag)})[0] for flag in (True, False)]


def snr_db(expected: list[Any], seen: list[Any]) -> list[float]:
    return [
        float(10 * np.log10((a * a).sum() / ((a - b) ** 2).sum()))
        for a, b in zip(expected, seen, strict=True)
    ]


@pytest.mark.parametrize(
    ("step", "least_db", "most_bytes"),
    [
        ({"kind": "int8_dynamic", "weight_range": "full"}, 25, 0.3),
        ({"kind": "weight_only", "bits": 8, "method": "rtn"}, 35, 0.3),
        ({"kind": "weight_only", "bits": 4, "method": "hqq"}, 12, 0.25),
        ({"kind": "weight_only", "bits": 3, "method": "rtn"}, 6, 0.25),
        ({"kind": "palette", "colors": 64}, 25, 0.35),
        ({"kind": "palette", "colors": 16, "codebook": "channel"}, 20, 0.8),
        ({"kind": "binary"}, 0, 0.4),
        ({"kind": "float16"}, 50, 0.55),
        ({"kind": "bfloat16"}, 35, 0.55),
        ({"kind": "low_rank", "rank": "energy", "energy": 0.999}, 40, 0.5),
    ],
)
def test_layers_in_branches_and_bodies_are_compressed_as_all_others(
    step: dict[str, Any], least_db: float, most_bytes: float, tmp_path: Path
) -> None:
    """Weights of rank 4; signal to noise of both branches, and bytes of all weights. A shared weight is stored once."""
    net = normal_form()
    expected, before = answers(net), weight_bytes(net)
    result = applied(net, tmp_path, **step)
    rows = {row["name"]: row for row in result.details["layers"]}
    assert {name for name, row in rows.items() if row["reason"] is None} >= LAYERS, rows
    assert min(snr_db(expected, answers(result.model))) > least_db
    assert weight_bytes(result.model) < most_bytes * before
    names = [str(name) for graph in result.model.graphs() for name in graph.initializers]
    assert len(names) == len(set(names))


def test_zeros_by_magnitude_are_set_inside_and_by_data_only_outside(tmp_path: Path) -> None:
    step = {"kind": "sparsity", "sparsity": 0.5, "distribution": "uniform"}
    plain = applied(normal_form(), tmp_path, **step, criterion="magnitude")
    taken = {name for row in plain.details["layers"] for name in (row["name"], *row.get("twins", []))}
    assert taken == LAYERS
    assert all(row["zeros"] == row["weights"] // 2 for row in plain.details["layers"])
    answers(plain.model)


def test_what_takes_data_leaves_layers_that_a_subgraph_reads_and_says_so(tmp_path: Path) -> None:
    net = alone()
    data = samples(tmp_path, net, x=RNG.normal(size=(16, WIDTH)).astype(np.float32), flag=np.ones(16, bool))
    by_data = applied(
        alone(), tmp_path, data, kind="sparsity", sparsity=0.5, criterion="wanda", distribution="uniform"
    )
    assert {row["name"] for row in by_data.details["layers"]} == {"last"}
    assert {row["name"] for row in by_data.details["skipped"]} == {
        "first",
        "then/second",
        "else/second",
        "loop/turn",
    }
    assert any("a subgraph reads it" in note for note in by_data.notes)


def test_static_ranges_are_measured_inside_and_a_branch_that_no_sample_takes_stays_float(
    tmp_path: Path,
) -> None:
    """Signal to noise of both branches, of which calibration takes the first; integers where kernels look for them."""
    net = alone()
    expected = answers(net)
    data = samples(tmp_path, net, x=RNG.normal(size=(16, WIDTH)).astype(np.float32), flag=np.ones(16, bool))
    static = applied(net, tmp_path, data, kind="int8_static", weight_range="full")
    reasons = {row["name"]: row["reason"] for row in static.details["layers"]}
    assert {name for name, why in reasons.items() if why is None} == {
        "first", "last", "then/first", "then/second", "else/first", "loop/turn",
    }  # fmt: skip
    assert "no calibration sample" in (reasons["else/second"] or "")
    assert static.changed == 6
    assert min(snr_db(expected, answers(static.model))) > 20
    for node in all_nodes(static.model):
        if node.name in ("then/second", "loop/turn"):
            readers = [value.producer() for value in node.inputs if value is not None]
            assert [(r.op_type, r.graph is node.graph) for r in readers if r is not None] == [
                ("DequantizeLinear", True),
                ("DequantizeLinear", True),
            ]


def test_values_inside_are_observed_over_all_turns(tmp_path: Path) -> None:
    """As computed here; of the branch that is not taken nothing."""
    net = alone()
    x = RNG.normal(size=(3, WIDTH)).astype(np.float32)
    data = samples(tmp_path, net, x=x, flag=np.ones(3, bool))
    weights = {str(n): v.const_value.numpy() for g in net.graphs() for n, v in g.initializers.items()}  # type: ignore[union-attr]
    outputs = {str(node.name): str(node.outputs[0].name) for node in all_nodes(net)}
    observer = Observer(net, [outputs[name] for name in ("then/first", "else/first", "loop/turn")])
    batches = [batch.values for batch in observer.run(data, 1)]
    for row, (taken, left_out, turned) in zip(x[:, None], batches, strict=True):
        a = np.maximum(row @ weights["shared"], 0)
        h, turns = a @ weights["shared"] @ weights["then.w"], []
        for _ in range(TURNS):
            turns.append(h @ weights["turn.w"])
            h = np.tanh(turns[-1]) + h
        np.testing.assert_allclose(taken, a @ weights["shared"], rtol=1e-4, atol=1e-5)
        assert left_out.size == 0
        np.testing.assert_allclose(turned, np.concatenate(turns), rtol=1e-4, atol=1e-5)


def test_gptq_rounds_what_subgraphs_read_without_data(tmp_path: Path) -> None:
    net = alone()
    data = samples(tmp_path, net, x=RNG.normal(size=(16, WIDTH)).astype(np.float32), flag=np.ones(16, bool))
    result = applied(net, tmp_path, data, kind="weight_only", bits=4, method="gptq")
    errors = {row["name"]: row.get("output_error") for row in result.details["layers"]}
    assert errors["last"] is not None
    assert errors["then/second"] is None
    assert any("Rounded without data" in note and "then/second" in note for note in result.notes)
    answers(result.model)


def alone() -> ir.Model:
    """With a last layer whose weight nothing inside reads, and a flag for each sample, of which the first counts."""
    net = normal_form()
    last = net.graph.outputs[0]
    weight = new_constant(net.graph, "last.w", RNG.normal(size=(WIDTH, WIDTH)).astype(np.float32))
    product = ir.node("MatMul", [last, weight], name="last")
    last.name, product.outputs[0].name = "looped", "y"
    product.outputs[0].type, product.outputs[0].shape = last.type, last.shape
    net.graph.append(product)
    net.graph.outputs[0] = product.outputs[0]
    return net


def test_a_pattern_names_a_layer_inside_as_any_other(tmp_path: Path) -> None:
    result = applied(normal_form(), tmp_path, kind="int8_dynamic", exclude=["loop/*", "else/second"])
    rows = {row["name"]: row["reason"] for row in result.details["layers"]}
    assert {name for name, why in rows.items() if why is None} == {
        "first",
        "then/first",
        "then/second",
        "else/first",
    }
    kinds = {str(node.name): node.op_type for node in all_nodes(result.model)}
    assert (kinds["loop/turn"], kinds["else/second"]) == ("MatMul", "MatMul")
