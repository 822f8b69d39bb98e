"""Whether answers depend on the samples that they run beside: dynamic quantization does, static and floats do not."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import cnn, lstm
from tests.support.small_nets import digits_net, digits_samples, model
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Int8Dynamic, Int8Static
from winnow.contract.robustness import Invariance
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.measure.network import Network
from worker.compression.measure.robustness.dependence import NotMeasured
from worker.compression.measure.robustness.neighbours import measure_neighbours
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.steps.context import Context


def measured(before: ir.Model, after: ir.Model, folder: Path, data: Samples | None = None) -> Invariance:
    networks = []
    for name, net in (("before", before), ("after", after)):
        model_files.save(net, folder / f"{name}.onnx")
        networks.append(Network(folder / f"{name}.onnx", 1, name))
    kind: Any = "random" if data is None else "calibration"
    return measure_neighbours((networks[0], networks[1]), data, kind, Benchmark(), 0)


def wide() -> ir.Model:
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(64, 32)).astype(np.float32)}
    return model("(float[N,64] x) => (float[N,32] y) { [layer] y = MatMul (x, w) }", weights)


def test_dynamic_quantization_depends_on_the_samples_beside_and_the_original_does_not(tmp_path: Path) -> None:
    step = Int8Dynamic.model_validate({"kind": "int8_dynamic"})
    net = apply(wide(), step, Context(tmp_path, 0, Silent())).model
    seen = measured(wide(), net, tmp_path)
    assert seen.before is not None
    assert seen.after is not None
    assert not seen.before.depends
    assert seen.after.depends
    assert 20 < (seen.after.snr_db or 0) < 60
    assert (seen.data, seen.samples) == ("random", 4)
    assert "whole batch" in seen.says


def test_static_quantization_depends_on_no_sample_beside(tmp_path: Path) -> None:
    data = digits_samples(tmp_path / "data")
    step = Int8Static.model_validate({"kind": "int8_static"})
    net = apply(digits_net(), step, Context(tmp_path, 0, Silent(), data.take(64))).model
    seen = measured(digits_net(), net, tmp_path, data)
    assert seen.before is not None
    assert seen.after is not None
    assert not seen.before.depends
    assert not seen.after.depends
    assert "does not depend" in seen.says


def test_a_normalisation_over_the_batch_depends_on_it_in_both(tmp_path: Path) -> None:
    net = model(
        "(float[N,8] x) => (float[N,8] y) { m = ReduceMean <axes=[0]> (x) [less] y = Sub (x, m) }",
    )
    seen = measured(net, net.clone(), tmp_path)
    assert seen.before is not None
    assert seen.before.depends
    assert seen.after is not None
    assert seen.after.depends
    assert "Dynamic quantization" not in seen.says


def test_a_batch_in_the_middle_is_taken_apart_there(tmp_path: Path) -> None:
    seen = measured(ir.from_proto(lstm()), ir.from_proto(lstm()), tmp_path)
    assert seen.after is not None
    assert not seen.after.depends


def test_a_fixed_batch_is_filled_with_copies(tmp_path: Path) -> None:
    net = model("(float[3,8] x) => (float[3,8] y) { m = ReduceMax <axes=[0]> (x) [less] y = Sub (x, m) }")
    shift = model("(float[3,8] x) => (float[3,8] y) { [more] y = Add (x, x) }")
    for norm, depends in ((net, True), (shift, False)):
        networks = Network(_saved(norm, tmp_path), 1, "it"), Network(_saved(norm, tmp_path), 1, "it")
        seen = measure_neighbours(networks, None, "random", Benchmark(batch_sizes=[3]), 0)
        assert seen.after is not None
        assert seen.after.depends == depends
        assert seen.samples == 3


def test_a_model_of_one_sample_has_no_neighbours(tmp_path: Path) -> None:
    net = model("(float[1,8] x) => (float[1,8] y) { [more] y = Add (x, x) }")
    with pytest.raises(NotMeasured, match="one sample at a time"):
        measured(net, net.clone(), tmp_path)


def test_an_output_without_samples_cannot_be_compared(tmp_path: Path) -> None:
    net = model("(float[N,8] x) => (float[8] y) { [sum] y = ReduceMean <axes=[0], keepdims=0> (x) }")
    with pytest.raises(NotMeasured, match="entry for each sample"):
        measured(net, net.clone(), tmp_path)


def test_convolutions_of_floats_give_no_false_alarm(tmp_path: Path) -> None:
    seen = measured(
        ir.from_proto(cnn(channels=24, size=12)), ir.from_proto(cnn(channels=24, size=12)), tmp_path
    )
    assert seen.after is not None
    assert not seen.after.depends


def _saved(net: ir.Model, folder: Path) -> Path:
    model_files.save(net, folder / "one.onnx")
    return folder / "one.onnx"
