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


@pytest.mark.parametrize(
    "step",
    [
        {"criterion": "magnitude"},
        {"criterion": "wanda"},
        {"criterion": "hessian"},
        {"criterion": "hessian", "structure": "2:4"},
        {"criterion": "magnitude", "distribution": "sensitivity"},
        {"criterion": "hessian", "distribution": "sensitivity"},
    ],
    ids=lambda step: "-".join(step.values()),
)
def test_zeros_are_set_inside_as_outside(step: dict[str, str], tmp_path: Path) -> None:
    net = alone()
    share = {} if "structure" in step else {"sparsity": 0.5}
    made = applied(net, tmp_path, one_branch(net, tmp_path), kind="sparsity", **share, **step)
    rows = made.details["layers"]
    assert {name for row in rows for name in (row["name"], *row.get("twins", []))} == {*LAYERS, "last"}
    assert not made.details["skipped"]
    assert all(row["zeros"] for row in rows)
    assert made.details["share"] == pytest.approx(0.5, abs=0.01)
    answers(made.model)


def test_zeros_by_data_are_judged_inside_by_what_the_branch_taken_reads(tmp_path: Path) -> None:
    """Signal to noise of the branch that all samples take, by 4 dB above zeros by magnitude (measured: 8)."""
    net = alone()
    before, data, taken = answers(net)[:1], one_branch(net, tmp_path), {}
    for criterion in ("magnitude", "hessian"):
        made = applied(net.clone(), tmp_path, data, kind="sparsity", sparsity=0.3, criterion=criterion)
        (taken[criterion],) = snr_db(before, answers(made.model)[:1])
    assert taken["hessian"] > taken["magnitude"] + 4
    rows = {row["name"]: row.get("output_error") for row in made.details["layers"]}
    assert all(rows[name] is not None for name in ("first", "then/second", "loop/turn", "last"))
    assert rows["else/second"] is None
    (note,) = (note for note in made.notes if "Judged by magnitude" in note)
    assert note.endswith("takes it: else/second.")


def test_static_ranges_are_measured_inside_and_a_branch_that_no_sample_takes_stays_float(
    tmp_path: Path,
) -> None:
    """Signal to noise of both branches, of which calibration takes the first; integers where kernels look for them."""
    net = alone()
    expected, data = answers(net), one_branch(net, tmp_path)
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


def test_gptq_rounds_inside_by_what_samples_reach_and_the_rest_without(tmp_path: Path) -> None:
    net = alone()
    result = applied(net, tmp_path, one_branch(net, tmp_path), kind="weight_only", bits=4, method="gptq")
    errors = {row["name"]: row.get("output_error") for row in result.details["layers"]}
    assert all(errors[name] is not None for name in ("first", "then/second", "loop/turn", "last"))
    assert errors["else/second"] is None
    (note,) = (note for note in result.notes if "Rounded without data" in note)
    assert note.endswith("takes it: else/second.")
    answers(result.model)


def test_low_rank_is_fitted_inside_to_what_samples_reach(tmp_path: Path) -> None:
    """Of what no sample reaches the weight alone says which rank; signal to noise of both branches."""
    net = alone()
    before = answers(net)
    data = one_branch(net, tmp_path)
    result = applied(net, tmp_path, data, kind="low_rank", rank="energy", energy=0.999, exclude=["last"])
    (note,) = (note for note in result.notes if "fitted to the weights alone" in note)
    assert "else/second" in note
    assert "then/second" not in note
    assert min(snr_db(before, answers(result.model))) > 30


def one_branch(net: ir.Model, folder: Path) -> Samples:
    """Data that takes the first branch."""
    return samples(folder, net, x=RNG.normal(size=(64, WIDTH)).astype(np.float32), flag=np.ones(64, bool))


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
