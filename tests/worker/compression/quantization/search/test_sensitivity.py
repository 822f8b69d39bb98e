"""Which layer it is: judged, ranked, timed, on a network with known culprits."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import node
from tests.support.openvino import needs_openvino
from tests.support.small_nets import digits_net, digits_samples, model, model_of, run, samples, snr_db
from tests.support.uneven_channels import images, uneven_net
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Requirements
from winnow.contract.target import Target
from worker.compression.ir.edit import GraphEdit
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import time_candidates
from worker.compression.measure.timing.quiet import Patience
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.quantization.integer.hardware import WeightRange
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.acceptance import acceptance_rule, aimed_db
from worker.compression.quantization.search.layer_profile import layer_times
from worker.compression.quantization.search.output_error import EXACT_DB, OutputComparer, OutputQuality
from worker.compression.quantization.search.sensitivity import measure_gains, measure_sensitivities
from worker.compression.steps.context import Context


@pytest.fixture
def static(tmp_path: Path) -> Static:
    net = uneven_net()
    made = Static(GraphEdit(net), WeightRange(127, []), samples(tmp_path, net, image=images()), "minmax")
    made.observe(lambda _: None)
    return made


@pytest.mark.usefixtures("all_told")
def test_the_layers_around_the_uneven_channels_come_first(static: Static, tmp_path: Path) -> None:
    output_error = OutputComparer(static.model, static.samples, tmp_path)
    gains = measure_gains(static, next(static.samples.take(1).batches(1)), Context(tmp_path, 0, Silent()))
    found = measure_sensitivities(static, output_error, gains, lambda _: None)
    assert [one.name for one in found] == ["conv1", "conv2", "conv3", "head"]
    ranked = sorted(found, key=lambda one: one.quality.snr_db)
    assert {ranked[0].name, ranked[1].name} == {"conv1", "conv2"}
    assert ranked[1].quality.snr_db < 20 < ranked[2].quality.snr_db - 10
    assert {one.name: one.gain.bytes for one in found} == {
        "conv1": 3 * 432, "conv2": 3 * 2304, "conv3": 3 * 2304, "head": 3 * 96,
    }  # fmt: skip
    assert all(one.gain.milliseconds is not None for one in found)


def test_noises_add_up(static: Static, tmp_path: Path) -> None:
    """The noise of all layers is that of the single ones together, within 3 dB."""
    output_error = OutputComparer(static.model, static.samples, tmp_path)
    gains = measure_gains(static, next(static.samples.take(1).batches(1)), Context(tmp_path, 0, Silent()))
    found = measure_sensitivities(static, output_error, gains, lambda _: None)
    together = -10 * np.log10(sum(10 ** (-one.quality.snr_db / 10) for one in found))
    assert abs(output_error(static.quantized()).snr_db - together) < 3


def test_the_judge_says_what_a_comparison_by_hand_says(static: Static, tmp_path: Path) -> None:
    output_error, made = OutputComparer(static.model, static.samples, tmp_path), static.quantized()
    x = {"image": images()}
    expected = snr_db(run(static.model, x), run(made, x))
    assert output_error(made).snr_db == pytest.approx(expected, abs=0.01)
    assert output_error(static.model).snr_db == EXACT_DB


def test_with_labels_the_drop_of_the_metric_is_judged(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    output_error = OutputComparer(digits_net(), data, tmp_path, Evaluation(metric="top1"))
    labels, x = np.asarray(data.labels), next(data.batches(2000))["image"]
    broken = digits_net()
    head = next(n for n in broken.graph if n.name == "head/gemm")
    bias = head.inputs[2]
    assert bias is not None
    bias.const_value = ir.tensor(np.array([9, *[0] * 9], np.float32))
    before, after = ((run(net, {"image": x}).argmax(1) == labels).mean() for net in (digits_net(), broken))
    quality = output_error(broken)
    assert quality.metric == pytest.approx(after)
    assert quality.drop == pytest.approx(before - after)


def test_a_float_model_that_answers_nan_is_no_judge(static: Static, tmp_path: Path) -> None:
    broken = static.model.clone()
    weight = next(v for v in broken.graph.initializers.values() if v.const_value is not None)
    weight.const_value = ir.tensor(np.full(weight.const_value.shape.numpy(), np.nan, np.float32))  # type: ignore[union-attr]
    with pytest.raises(Refusal, match="NaN or infinity in all of its answers"):
        OutputComparer(broken, static.samples, tmp_path)
    assert OutputComparer(static.model, static.samples, tmp_path)(broken).as_report() == {
        "snr_db": -EXACT_DB,
        "cosine": -1,
    }


def test_batches_that_answer_no_rows_do_not_count(tmp_path: Path) -> None:
    """A detector that finds nothing: only every 40th sample has a row that is kept."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(16, 8)).astype(np.float32), "least": np.array(50, np.float32)}
    net = model(
        """(float[N,16] x) => (float[K,8] y) {
            [product] h = MatMul (x, w)
            [largest] m = ReduceMax <axes=[1], keepdims=0> (h)
            [kept] g = Greater (m, least)
            [rows] y = Compress <axis=0> (h, g)
        }""",
        weights,
    )
    x = rng.normal(size=(80, 16)).astype(np.float32)
    x[::40] *= 1000
    output_error = OutputComparer(net, samples(tmp_path, net, x=x), tmp_path)
    assert output_error(net).as_report() == {"snr_db": EXACT_DB, "cosine": 1}


@pytest.mark.usefixtures("all_told")
@pytest.mark.parametrize("target", ["onnxruntime-cpu", pytest.param("openvino-cpu", marks=needs_openvino)])
def test_a_network_whose_values_are_only_moved_takes_the_time_of_its_layers(
    static: Static, target: Target, tmp_path: Path
) -> None:
    feed, layers = next(static.samples.take(1).batches(1)), ["conv1", "conv2", "conv3", "head"]
    for graph in (static.model, static.quantized()):
        times = layer_times(graph, feed, layers, tmp_path, Patience(Silent()), target)
        assert set(times) == set(layers)
        assert all(0 < time < 100 for time in times.values())


@pytest.mark.parametrize(
    ("require", "labelled", "quality", "met"),
    [
        (Requirements(), False, OutputQuality(20.1, 0.9), True),
        (Requirements(), False, OutputQuality(19.9, 0.99), False),
        (Requirements(min_cosine=0.9), False, OutputQuality(5, 0.91), True),
        (Requirements(min_cosine=0.9, max_metric_drop=0.01), True, OutputQuality(5, 0.91, 0.8, 0.02), False),
        (Requirements(max_metric_drop=0.01), True, OutputQuality(5, 0.5, 0.8, 0.01), True),
        (Requirements(max_metric_drop=0.01), False, OutputQuality(5, 0.5), False),
        (Requirements(min_snr_db=30), False, OutputQuality(29.9, 0.99), False),
        (Requirements(min_snr_db=5), False, OutputQuality(5, 0.5), True),
        (Requirements(max_relative_drop=0.02), True, OutputQuality(5, 0.5, 0.49, 0.01, 0.02), True),
        (Requirements(max_relative_drop=0.02), True, OutputQuality(25, 1, 0.0, 0.0, None), False),
        (Requirements(min_speedup=2), False, OutputQuality(25, 0.5), True),
    ],
)
def test_what_is_required_is_judged_where_it_can_be(
    require: Requirements, labelled: bool, quality: OutputQuality, met: bool
) -> None:
    assert acceptance_rule(require, labelled)[0](quality) is met


@pytest.mark.parametrize(
    ("require", "labelled", "db"),
    [
        (Requirements(), True, 20),
        (Requirements(min_snr_db=30), False, 30),
        (Requirements(max_metric_drop=0.01), False, 20),
        (Requirements(max_metric_drop=0.01, min_snr_db=30), True, None),
        (Requirements(max_relative_drop=0.01), True, None),
    ],
)
def test_decibels_are_aimed_at_unless_labels_judge(
    require: Requirements, labelled: bool, db: float | None
) -> None:
    """And where nothing but decibels is asked, what reaches the aim is accepted."""
    assert aimed_db(require, labelled) == db
    if db is not None:
        accepts, _ = acceptance_rule(require, labelled)
        assert accepts(OutputQuality(db, 0))
        assert not accepts(OutputQuality(db - 0.1, 1))


@pytest.mark.usefixtures("all_told")
def test_a_race_tells_a_network_from_one_that_does_the_work_twice(tmp_path: Path) -> None:
    """Of 40 against 10 convolutions, 3 times as slow at least; against itself within a factor of 1.5."""
    weights = {"w": np.full((16, 16, 3, 3), 0.01, np.float32)}
    networks = []
    for number, count in enumerate((10, 40, 10)):
        names = ["x", *(f"v{i}" for i in range(count - 1)), "y"]
        nodes = [
            node("Conv", f"{a} w", b, f"conv{i}", pads=[1, 1, 1, 1])
            for i, (a, b) in enumerate(pairwise(names))
        ]
        net = model_of(nodes, {"x": [1, 16, 16, 16]}, {"y": [1, 16, 16, 16]}, weights)
        model_files.save(net, tmp_path / f"{number}.onnx")
        networks.append(Network(tmp_path / f"{number}.onnx", 1, "it"))
    feed = {"x": np.zeros((1, 16, 16, 16), np.float32)}
    first, second, third = time_candidates(networks, feed, 0, Silent())
    assert first.speedup == 1
    assert second.speedup < 1 / 3 + 0.05
    assert 1 / 1.5 < third.speedup < 1.5
