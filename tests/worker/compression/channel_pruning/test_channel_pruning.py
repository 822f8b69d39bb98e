"""channel_pruning on a real classifier of digits, through the library as a job runs it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.support.clocks import by_parameters
from tests.support.digits import DECLARATION, EVALUATION, Digits, digits
from tests.support.graphs import branches_behind_a_relu, siblings
from tests.support.in_process import InProcess
from tests.support.small_nets import model, samples
from winnow.contract.bundle.recipe_file import as_chosen, chooses_by_time
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.channel_pruning.channel_pruning import default_criterion
from worker.compression.channel_pruning.criteria_gradients import gradient_scores
from worker.compression.data.source import Data, Source
from worker.compression.graph.channels import channel_groups
from worker.compression.measure.timing.interleaved import MEASURED_ANEW_NOTE
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.steps import remaining_cost

TRAINING = (0, 1000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


def done(
    files: Digits, out: Path, *, data: bool = True, after: list[Any] | None = None, **step: Any
) -> Report:
    """One channel_pruning step and what comes `after` it; the result is checked by onnx."""
    source = Source(files.data, DECLARATION, TRAINING)
    given = Data(
        calibration=source if data else None,
        training=source if data else None,
        evaluation=Source(files.data, DECLARATION, EVALUATION),
    )
    steps = [{"kind": "channel_pruning", "samples": 256, **step}, *(after or [])]
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess())
    report = compress(files.model, Recipe.model_validate({"steps": steps}), given, out, options=options)
    onnx.checker.check_model(str(out / "artifact.onnx"), full_check=True)
    return report


def kept(report: Report) -> dict[str, int]:
    rows = report.steps[0].details["groups"]
    return {row["name"]: row["channels_after"] for row in rows if row["pinned"] is None}


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm", "activation", "taylor", "fisher"])
def test_every_criterion_halves_the_macs_and_loses_little_after_the_repair(
    files: Digits, tmp_path: Path, criterion: str
) -> None:
    """At most 5 points of top-1 on unseen digits, without any training."""
    report = done(files, tmp_path, criterion=criterion, round_to=1)
    assert report.macs is not None
    assert 0.4 <= report.macs.after / report.macs.before <= 0.5
    assert report.quality[0].after >= report.quality[0].before - 0.05
    assert [target.met for target in report.steps[0].targets] == [True]


@pytest.mark.parametrize("scope", ["layer", "global", "isomorphic"])
@pytest.mark.parametrize(("target", "amount"), [("channels", 0.25), ("parameters", 0.5), ("macs", 0.3)])
def test_targets_are_reached_in_every_scope(
    files: Digits, tmp_path: Path, scope: str, target: str, amount: float
) -> None:
    """Within the cost of one channel: at most 8 % of the whole in this small network."""
    report = done(files, tmp_path, data=False, scope=scope, target=target, amount=amount, round_to=1)
    (result,) = report.steps[0].targets
    assert result.met
    assert result.measured is not None
    assert amount <= result.measured <= amount + 0.08
    assert report.outcome == "unchecked"
    assert min(kept(report).values()) >= 1


@pytest.mark.parametrize(("data", "criterion"), [(True, "taylor"), (False, "l2")])
def test_the_criterion_follows_from_the_data_that_there_is(
    files: Digits, tmp_path: Path, data: bool, criterion: str
) -> None:
    assert done(files, tmp_path, data=data).steps[0].details["criterion"] == criterion


def test_a_model_without_gradients_is_judged_by_its_activations(tmp_path: Path) -> None:
    """A Bernoulli draw has no gradient; nobody asked for gradients, so the job is not refused for it. By weights
    alone where no layer makes the channels whose activations are read (silero: all of them lie in an If)."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(4, 4)).astype(np.float32) for name in ("v", "w")}
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [first] h = MatMul (x, v)
            [second] z = MatMul (h, w)
            [no_gradient] y = Bernoulli (z)
        }""",
        weights,
    )
    data, groups = samples(tmp_path, net, x=np.zeros((8, 4), np.float32)), channel_groups(net).groups
    assert default_criterion(net, groups, data) == "activation"
    assert default_criterion(net, [replace(group, producers=()) for group in groups], data) == "l2"
    assert default_criterion(net, groups, None) == "l2"


def test_an_output_without_gradient_is_judged_by_activations_and_refuses_taylor(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(4, 4)).astype(np.float32) for name in ("v", "w")}
    net = model(
        """(float[N,4] x) => (float[N] y) {
            [first] h = MatMul (x, v)
            [second] z = MatMul (h, w)
            [best] y = ArgMax <axis=1, keepdims=0> (z)
        }""",
        weights,
    )
    net.graph.outputs[0].dtype = ir.DataType.INT64
    data, groups = samples(tmp_path, net, x=np.ones((8, 4), np.float32)), channel_groups(net).groups
    assert default_criterion(net, groups, data) == "activation"
    with pytest.raises(Refusal, match="has no gradient"):
        gradient_scores(net, groups, "taylor", data, lambda _: None)


def test_repair_is_what_saves_the_accuracy(files: Digits, tmp_path: Path) -> None:
    """By default with calibration data, and better than without by 5 points at least."""
    mended, plain = (
        done(files, tmp_path / str(repair), criterion="random", amount=0.7, repair=repair)
        for repair in (None, False)
    )
    assert mended.quality[0].after >= plain.quality[0].after + 0.05
    layers = mended.steps[0].details["rounds"][0]["repaired"]
    assert all(row["relative_error_after"] <= row["relative_error_before"] for row in layers)
    assert plain.steps[0].details["rounds"][0]["repaired"] == []


@pytest.mark.usefixtures("none_told")
def test_where_no_time_can_be_told_the_macs_decide_and_the_target_is_not_met(
    files: Digits, tmp_path: Path
) -> None:
    report = done(files, tmp_path, target="latency", amount=0.3, round_to=1, data=False)
    (result,) = report.steps[0].targets
    assert (result.measured, result.met) == (None, False)
    assert "multiply-accumulates decided in its place" in str(result.why)
    assert result.why in report.steps[0].notes
    before, after = report.steps[0].details["macs"]
    assert 0.6 * before < after <= 0.7 * before


@pytest.mark.usefixtures("all_told")
def test_a_measured_latency_is_a_target(files: Digits, tmp_path: Path) -> None:
    """The network is tiny, so little goes: either what was measured reaches the amount, or the report says why not."""
    report = done(files, tmp_path, target="latency", amount=0.02)
    (result,) = report.steps[0].targets
    assert result.measured is not None
    assert result.met == (result.measured >= 0.02)
    assert any(
        f"{1 - result.measured:.1%} of the time" in note and MEASURED_ANEW_NOTE in note
        for note in report.steps[0].notes
    )
    assert report.outcome == ("unchecked" if result.met else "requirements_not_met")


@pytest.mark.parametrize(
    ("scope", "round_to", "rounds"), [("layer", None, 1), ("global", 1, 1), ("layer", 1, 3)]
)
def test_what_was_cut_by_time_is_cut_again_by_its_settings(
    files: Digits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scope: str,
    round_to: int | None,
    rounds: int,
) -> None:
    monkeypatch.setattr(remaining_cost, "_timed", by_parameters)
    step = {"target": "latency", "amount": 0.6, "scope": scope, "round_to": round_to, "rounds": rounds}
    timed = done(files, tmp_path / "timed", **step)
    monkeypatch.undo()
    recipe = Recipe.model_validate({"steps": [{"kind": "channel_pruning", "samples": 256, **step}]})
    (closed,) = as_chosen(recipe, timed).steps
    assert not chooses_by_time(closed)
    again = done(files, tmp_path / "again", **closed.model_dump())
    assert timed.steps[0].changed > 0
    assert again.graph_sha256 == timed.graph_sha256
    assert again.steps[0].targets[0].met


def test_a_target_out_of_reach_gives_the_most_and_says_so(files: Digits, tmp_path: Path) -> None:
    report = done(files, tmp_path, amount=0.999, round_to=1, data=False)
    assert report.outcome == "requirements_not_met"
    (missed,) = [entry for entry in report.requirements if not entry.met]
    assert missed.name == "channel_pruning.macs"
    assert "99.9% of the macs were to go" in str(missed.why)
    assert set(kept(report).values()) == {1}
    session = ort.InferenceSession(str(tmp_path / "artifact.onnx"))
    assert session.run(None, {"image": np.zeros((2, 1, 8, 8), np.float32)})[0].shape == (2, 10)


def test_rounds_with_recovery_reach_the_target_step_by_step(files: Digits, tmp_path: Path) -> None:
    training = {"kind": "distillation", "epochs": 2, "batch_size": 50, "learning_rate": 0.003}
    report = done(files, tmp_path, rounds=3, recovery=training, amount=0.7, round_to=1, criterion="taylor")
    assert report.steps[0].details["as_settings"]["recovery"]["precision"] in ("float32", "bfloat16")
    left = [each["left"] for each in report.steps[0].details["rounds"]]
    assert all(found <= 0.3 ** (number / 3) for number, found in enumerate(left, 1))
    assert left == sorted(left, reverse=True)
    assert len(left) == 3
    curves = [path.parent.name for path in tmp_path.rglob("events.out.tfevents*")]
    assert {"round-1", "round-2"} <= set(curves) | {
        p.parent.parent.name for p in tmp_path.rglob("events.out*")
    }
    assert report.quality[0].after >= report.quality[0].before - 0.1


def test_the_outputs_of_excluded_layers_stay(files: Digits, tmp_path: Path) -> None:
    report = done(files, tmp_path, exclude=["conv1"], round_to=1)
    assert kept(report)["conv1"] == 16
    assert kept(report)["conv2"] < 32
    after = onnx.load(str(tmp_path / "artifact.onnx"))
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in after.graph.initializer}
    before = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(str(files.model)).graph.initializer}
    np.testing.assert_array_equal(weights["k1"], before["k1"])


def test_the_same_seed_cuts_the_same_channels(files: Digits, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done(files, tmp_path / name, criterion="random")
    weights = [onnx.load(str(tmp_path / name / "artifact.onnx")).graph.initializer for name in ("a", "b")]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other))


def test_pruned_then_quantized_still_runs(files: Digits, tmp_path: Path) -> None:
    report = done(files, tmp_path, after=[{"kind": "int8_static"}])
    assert report.quality[0].after >= report.quality[0].before - 0.08


def refused(net: ir.Model | onnx.ModelProto, folder: Path, **step: Any) -> Any:
    proto = net if isinstance(net, onnx.ModelProto) else ir.to_proto(net)
    onnx.save(proto, str(folder / "net.onnx"))
    np.savez(folder / "x.npz", x=np.zeros((8, 4), np.float32))
    given: dict[str, Any] = {"inputs": {"x": {"array": "x"}}}
    if any(value.name == "flag" for value in proto.graph.input):
        given["constants"] = {"flag": True}
    source = Source(folder / "x.npz", Declaration.model_validate(given))
    recipe = Recipe.model_validate({"steps": [{"kind": "channel_pruning", **step}]})
    with pytest.raises(Refusal) as caught:
        compress(folder / "net.onnx", recipe, Data(calibration=source, training=source), folder / "out")
    return caught.value.problem


def test_a_model_without_free_channels_is_refused_with_what_pins_them(tmp_path: Path) -> None:
    weights = {"w": np.ones((4, 3), np.float32)}
    net = model("(float[N,4] x) => (float[N,3] y) { [only] y = MatMul (x, w) }", weights)
    problem = refused(net, tmp_path)
    assert problem.code == "nothing_to_compress"
    assert "only" in problem.detail
    assert "'y'" in problem.detail


@pytest.mark.parametrize(
    "step", [{"criterion": "taylor"}, {"rounds": 2, "recovery": {"kind": "distillation"}}]
)
def test_gradients_through_an_operator_without_them_are_refused_before_any_work(
    tmp_path: Path, step: dict[str, Any]
) -> None:
    problem = refused(branches_behind_a_relu(), tmp_path, **step)
    assert (problem.code, problem.layer) == ("unsupported_operator", "choose")


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm", "random", None])
def test_layers_inside_branches_are_cut_too(criterion: str | None, tmp_path: Path) -> None:
    onnx.save(siblings(), tmp_path / "model.onnx")
    step = {"kind": "channel_pruning", "amount": 0.5} | ({"criterion": criterion} if criterion else {})
    recipe, out = Recipe.model_validate({"steps": [step]}), tmp_path / "out"
    options = Options(benchmark=Benchmark(rounds=9), processes=InProcess())
    report = compress(tmp_path / "model.onnx", recipe, Data(), out, options=options)
    assert report.steps[0].changed == 4
    assert report.size_bytes.after < report.size_bytes.before
    assert report.macs is not None
    assert report.macs.after <= 0.5 * report.macs.before


def test_any_data_tells_the_sizes_that_macs_are_counted_with(tmp_path: Path) -> None:
    """A network of open height and width, cut to half its MACs with evaluation data alone."""
    rng = np.random.default_rng(0)
    net = model(
        """(float[N,3,H,W] x) => (float[N,4,H,W] y) {
            [first] h = Conv <pads=[1, 1, 1, 1]> (x, w)
            [relu] r = Relu (h)
            [second] y = Conv (r, v)
        }""",
        {"w": rng.random((16, 3, 3, 3), np.float32), "v": rng.random((4, 16, 1, 1), np.float32)},
    )
    ir.save(net, tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", x=rng.random((4, 3, 8, 8), np.float32))
    data = Data(evaluation=Source(tmp_path / "data.npz"))
    step = {"kind": "channel_pruning", "target": "macs", "amount": 0.5}
    recipe = Recipe.model_validate({"steps": [step]})
    options = Options(benchmark=Benchmark(rounds=9), processes=InProcess())
    report = compress(tmp_path / "net.onnx", recipe, data, tmp_path / "out", options=options)
    assert report.macs is not None
    assert report.macs.ratio == pytest.approx(0.5)
