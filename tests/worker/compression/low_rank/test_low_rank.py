"""`low_rank` on real digits: fewer multiplications, less lost with data, what cannot be reached is said."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support.digits import DECLARATION, EVALUATION, Digits, digits
from tests.support.graphs import node
from tests.support.in_process import InProcess
from tests.support.small_nets import (
    digits_net,
    digits_samples,
    loud_product,
    model,
    model_of,
    named,
    run,
    samples,
    snr_db,
)
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import LowRank, Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.graph.facts import cost
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.low_rank.low_rank import low_rank
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

LAYERS = ["conv1", "conv2", "head/gemm"]


def step(**settings: Any) -> LowRank:
    return LowRank.model_validate({"kind": "low_rank", **settings})


def done(folder: Path, net: ir.Model | None = None, data: Any = None, **settings: Any) -> StepResult:
    """On the digits' network and data, or without data on another network; the result in normal form."""
    net = digits_net() if net is None else net
    scratch = folder / "step"
    scratch.mkdir(exist_ok=True)
    changed = low_rank(net, step(**settings), Context(scratch, 0, Silent(), data))
    normalise(changed.model)
    return changed


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return digits_samples(tmp_path_factory.mktemp("digits"))


def rows(changed: StepResult) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in changed.details["layers"]}


@pytest.mark.parametrize("convolution", ["auto", "tucker", "spatial", "channel"])
def test_half_of_the_multiplications_go_and_less_is_lost_with_data(
    tmp_path: Path, images: Any, convolution: str
) -> None:
    """Of the output's energy, on images that calibrated neither; MACs as the graph has them, not as planned."""
    x = next(images.batches(len(images)))["image"][1200:]
    expected, found = run(digits_net(), {"image": x}), {}
    for aware in (True, False):
        changed = done(tmp_path, data=images.take(1200), convolution=convolution, data_aware=aware)
        planned, able = changed.details["touched"]["macs"], changed.details["able"]["macs"]
        assert able[1] <= able[0] / 2
        before, after = cost.macs(digits_net()), cost.macs(changed.model)
        assert before is not None
        assert after == before - (planned[0] - planned[1])
        assert [target.met for target in changed.targets] == [True]
        found[aware] = snr_db(expected, run(changed.model, {"image": x}))
        for name in LAYERS:
            assert named(changed.model, name).op_type == named(digits_net(), name).op_type
    assert found[True] > found[False] + 3


def test_the_error_that_is_told_is_that_of_the_outputs(tmp_path: Path, images: Any) -> None:
    """Of one layer alone, whose variance on the calibration data is lost to 1e-3 as told."""
    data = images.take(256)
    changed = done(tmp_path, data=data, convolution="channel", exclude=["conv1", "head/*"])
    row = rows(changed)["conv2"]
    x = {"image": next(data.batches(256))["image"]}
    before, after = run(digits_net(), x, "c2"), run(changed.model, x, "c2")
    variance = ((before - before.mean((0, 2, 3), keepdims=True)) ** 2).sum()
    assert abs(((before - after) ** 2).sum() / variance - row["error"]) < 1e-3
    assert row["fitted"] == "outputs"
    assert 0 < row["error"] < 0.5
    np.testing.assert_allclose(
        after.mean((0, 2, 3)), before.mean((0, 2, 3)), atol=1e-3
    )  # the bias sees to it


def test_more_energy_is_less_error_and_more_multiplications(tmp_path: Path, images: Any) -> None:
    energies = (0.7, 0.85, 0.97)
    found = [done(tmp_path, data=images.take(400), rank="energy", energy=energy) for energy in energies]
    macs = [changed.details["able"]["macs"][1] for changed in found]
    assert macs == sorted(set(macs))
    for changed, energy in zip(found, energies, strict=True):
        first = rows(changed)["conv1"]  # later layers also have what was lost before them
        assert first.get("error", 0) <= 1 - energy + 1e-6
        assert changed.targets == []
    last = [rows(changed)["head/gemm"]["error"] for changed in found]
    assert last == sorted(last, reverse=True)


def test_energy_that_takes_all_ranks_leaves_a_layer_alone(tmp_path: Path, images: Any) -> None:
    changed = done(
        tmp_path, data=images.take(400), rank="energy", energy=0.97, convolution="channel", data_aware=False
    )
    left = [row for row in rows(changed).values() if row["reason"]]
    assert left
    assert all(row["reason"] == "keeping 0.97 of the energy takes ranks that save nothing" for row in left)


def test_a_noisy_product_gets_the_rank_that_is_behind_the_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 80)) + 0.1 * rng.normal(size=(60, 80))
    net = model(
        "(float[N,60] x) => (float[N,80] y) { [layer] y = MatMul (x, w) }", {"w": weight.astype(np.float32)}
    )
    changed = done(tmp_path, net, rank="vbmf")
    assert rows(changed)["layer"]["ranks"] == [4]
    assert rows(changed)["layer"]["fitted"] == "weights"


@pytest.mark.parametrize("target", ["macs", "parameters"])
def test_a_target_that_cannot_be_reached_gives_the_smallest_and_says_so(
    tmp_path: Path, images: Any, target: str
) -> None:
    changed = done(tmp_path, data=images.take(100), rank=target, amount=0.999)
    (result,) = changed.targets
    assert not result.met
    assert result.measured is not None
    assert 0.8 < result.measured < 0.999
    assert result.why is not None
    assert "0.999" in result.why
    assert all(set(row["ranks"]) == {1} for row in rows(changed).values() if "ranks" in row)
    assert run(changed.model, next(images.take(2).batches(2))).shape == (2, 10)


def test_parameters_are_a_target_of_their_own(tmp_path: Path, images: Any) -> None:
    changed = done(tmp_path, data=images.take(400), rank="parameters", amount=0.4)
    before, after = changed.details["able"]["parameters"]
    assert after <= 0.6 * before
    for row in rows(changed).values():
        assert row["macs"][1] <= row["macs"][0]


def test_every_layer_that_is_left_alone_has_its_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "deep": rng.normal(size=(8, 1, 3, 3)),
        "up": rng.normal(size=(8, 8, 2, 2)),
        "shared": rng.normal(size=(8, 8, 3, 3)),
        "one": rng.normal(size=(1, 8, 1, 1)),
        "good": rng.normal(size=(16, 8, 3, 3)),
        "tiny": rng.normal(size=(2, 16, 1, 1)),
    }
    same = {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", "x deep", "a", "depthwise", group=8, **same),
        node("ConvTranspose", "a up", "b", "transposed", strides=[2, 2]),
        node("Conv", "b shared", "c", "first", **same),
        node("Conv", "c shared", "d", "second", **same),
        node("Conv", "d one", "e", "single"),
        node("Mul", "e d", "f", "scale"),
        node("Conv", "f good", "g", "kept/out", **same),
        node("Conv", "g tiny", "z", "tiny"),
        node("Conv", "f good", "y", "wide", **same),
    ]
    nodes[6].input[1] = "more"
    weights["more"] = rng.normal(size=(16, 8, 3, 3))
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    net = model_of(nodes, {"x": ["N", 8, 6, 6]}, {"y": ["N", 16, 12, 12], "z": ["N", 2, 12, 12]}, weights)
    found = rows(done(tmp_path, net, exclude=["kept/*"]))
    assert {name: row["reason"] for name, row in found.items()} == {
        "depthwise": "depthwise: there are no channels to bring together",
        "transposed": "ConvTranspose is not factorised",
        "first": None,
        "second": None,
        "single": "one output: there are no channels to bring together",
        "kept/out": "excluded by pattern",
        "tiny": found["tiny"]["reason"],
        "wide": None,
    }


def test_nothing_to_do_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"nothing_to_compress.*LSTM is not factorised"):
        done(tmp_path, loud_product("LSTM"))


def test_shapes_that_are_not_known_are_told_by_the_data_or_missed_in_a_note(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(16, 8, 3, 3)).astype(np.float32)}
    net = model("(float[N,8,H,W] x) => (float[N,16,?,?] y) { [conv] y = Conv (x, w) }", weights)
    blind = done(tmp_path, net.clone())
    assert rows(blind)["conv"]["macs"] is None
    assert blind.details["able"]["macs"] is None
    assert "not known" in blind.notes[0]
    data = samples(tmp_path / "data", net, x=rng.normal(size=(20, 8, 10, 10)).astype(np.float32))
    seeing = done(tmp_path, net, data)
    assert rows(seeing)["conv"]["macs"][0] == 16 * 72 * 64
    assert seeing.notes == []


@pytest.mark.parametrize("convolution", ["channel", "spatial", "tucker"])
def test_inputs_far_from_zero_do_no_harm(tmp_path: Path, convolution: str) -> None:
    """A thousand deviations off: sums of squares in float32 no longer tell the deviations, the mean is still kept."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(16, 8, 3, 3)).astype(np.float32)}
    net = model("(float[N,8,6,6] x) => (float[N,16,4,4] y) { [conv] y = Conv (x, w) }", weights)
    x = rng.normal(1000, 1, (64, 8, 6, 6)).astype(np.float32)
    expected = run(net, {"x": x})
    changed = done(tmp_path, net, samples(tmp_path / "data", net, x=x), convolution=convolution)
    assert snr_db(expected, run(changed.model, {"x": x})) > 50


# --- through the library


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("files"))


def job(files: Digits, out: Path, *steps: dict[str, Any]) -> Report:
    source = Source(files.data, DECLARATION, (0, 1000))
    data = Data(calibration=source, training=source, evaluation=Source(files.data, DECLARATION, EVALUATION))
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess())
    return compress(files.model, Recipe.model_validate({"steps": list(steps)}), data, out, options=options)


def test_training_recovers_what_was_lost(files: Digits, tmp_path: Path) -> None:
    """Three tenths of the multiplications left; later steps find the layers by their names."""
    cut = {"kind": "low_rank", "amount": 0.7}
    alone = job(files, tmp_path / "alone", cut)
    tune = {"kind": "finetune", "epochs": 2, "batch_size": 50, "learning_rate": 1e-3, "exclude": ["fc"]}
    both = job(files, tmp_path / "both", cut, tune)
    assert alone.outcome == both.outcome == "unchecked"
    assert both.quality[0].after > alone.quality[0].after
    assert both.macs is not None
    assert both.macs.ratio is not None
    assert both.macs.ratio < 0.35
    names = {made.name for made in onnx.load(str(tmp_path / "both" / "artifact.onnx")).graph.node}
    assert names >= {"conv1", "conv2", "fc"}
    job(files, tmp_path / "again", cut)
    first, again = (onnx.load(str(tmp_path / name / "artifact.onnx")).graph for name in ("alone", "again"))
    assert first == again


def test_a_job_whose_target_cannot_be_reached_ends_with_the_best(files: Digits, tmp_path: Path) -> None:
    report = job(files, tmp_path, {"kind": "low_rank", "amount": 0.999})
    assert report.outcome == "requirements_not_met"
    assert [entry.name for entry in report.requirements] == ["low_rank.macs"]
    assert (tmp_path / "artifact.onnx").exists()


def test_int8_goes_on_with_the_parts(files: Digits, tmp_path: Path) -> None:
    report = job(files, tmp_path, {"kind": "low_rank"}, {"kind": "int8_static"})
    assert report.steps[1].changed > report.steps[0].changed
    assert report.quality[0].after > 0.9 * report.quality[0].before


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_one_sample_is_enough_to_fit_something(scale: float, tmp_path: Path) -> None:
    """Its covariance is nothing but rounding errors."""
    image = np.full((1, 1, 8, 8), scale, np.float32)
    made = done(tmp_path, data=samples(tmp_path, digits_net(), image=image), rank="macs", amount=0.3)
    assert np.isfinite(run(made.model, {"image": image})).all()


def test_inputs_whose_squares_overflow_name_the_layer(tmp_path: Path) -> None:
    image = np.full((4, 1, 8, 8), 1e25, np.float32)
    with pytest.raises(Refusal) as caught:
        done(tmp_path, data=samples(tmp_path, digits_net(), image=image))
    assert (caught.value.problem.code, caught.value.problem.layer) == ("not_finite", "conv1")


def test_a_weight_with_nan_stays_as_it_is(tmp_path: Path) -> None:
    net = digits_net()
    weight = named(net, "conv2").inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    weight.const_value = ir.tensor(np.full(weight.const_value.shape.numpy(), np.nan, np.float32))
    assert "NaN" in rows(done(tmp_path, net))["conv2"]["reason"]
