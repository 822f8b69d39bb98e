"""What really runs of a file, told by the runtimes themselves."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import branches, cnn, lstm, mlp
from tests.support.openvino import needs_openvino
from tests.support.small_nets import digits_net, digits_samples, model
from tests.support.small_transformer import small_transformer
from winnow.contract.arithmetic import Arithmetic, Kernels
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Float16, Int8Dynamic, Int8Static, WeightOnly
from winnow.contract.target import Target
from worker.compression.apply import apply
from worker.compression.measure.arithmetic import by_profile
from worker.compression.measure.arithmetic import measure as measuring
from worker.compression.measure.arithmetic.measure import measure_arithmetic
from worker.compression.measure.feeds import BenchmarkData
from worker.compression.measure.network import Network
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

Step = Float16 | Int8Dynamic | Int8Static | WeightOnly
ORT: Target = "onnxruntime-cpu"


def told(before: ir.Model, after: ir.Model, folder: Path, target: Target, **shapes: list[int]) -> Arithmetic:
    for name, graph in (("before", before), ("after", after)):
        ir.save(graph, folder / f"{name}.onnx")
    pair = tuple(Network(folder / f"{name}.onnx", 1, name, target=target) for name in ("before", "after"))
    return measure_arithmetic((pair[0], pair[1]), BenchmarkData(Benchmark(shapes=shapes), None, 0))


def alone(graph: ir.Model, folder: Path, target: Target = ORT, **shapes: list[int]) -> Kernels:
    kernels = told(graph, graph.clone(), folder, target, **shapes).after
    assert kernels is not None
    return kernels


def digits(step: Step, folder: Path) -> ir.Model:
    return apply(digits_net(), step, Context(folder, 0, Silent(), digits_samples(folder / "data"))).model


@pytest.mark.parametrize("target", [ORT, pytest.param("openvino-cpu", marks=needs_openvino)])
@pytest.mark.parametrize(
    "graph",
    [ir.from_proto(cnn()), ir.from_proto(mlp()), digits_net(), small_transformer(2)],
    ids=["cnn", "mlp", "digits", "transformer"],
)
def test_a_float_model_has_no_integers_and_all_of_its_work_in_float32(
    graph: ir.Model, target: Target, tmp_path: Path
) -> None:
    kernels = alone(
        graph, tmp_path, target, **({"x": [1, 5, 8]} if graph.graph.inputs[0].name == "x" else {})
    )
    assert (kernels.integer_nodes, kernels.integer_macs, kernels.float_macs) == (0, 0, 1)
    assert kernels.float_types == ["float32"]


@pytest.mark.parametrize("target", [ORT, pytest.param("openvino-cpu", marks=needs_openvino)])
def test_static_8_bits_of_a_convolutional_net_run_in_integers(target: Target, tmp_path: Path) -> None:
    arithmetic = told(digits_net(), digits(Int8Static(kind="int8_static"), tmp_path), tmp_path, target)
    assert arithmetic.before is not None
    assert arithmetic.after is not None
    assert arithmetic.before.integer_macs == 0
    assert arithmetic.after.integer_macs is not None
    assert arithmetic.after.integer_macs > 0.9
    assert "all multiply-accumulates of the result in integers" in arithmetic.says


def test_a_weight_behind_a_dequantizelinear_alone_is_multiplied_as_a_float(tmp_path: Path) -> None:
    """Convolutions of `weight_only`; its MatMulNBits rounds what it is given."""
    kernels = alone(digits(WeightOnly(kind="weight_only", exclude=["head/*"]), tmp_path), tmp_path)
    assert kernels.integer_macs == 0
    whole = alone(digits(WeightOnly(kind="weight_only"), tmp_path), tmp_path)
    assert whole.products["MatMulNBits"] == 1
    assert whole.integer_macs is not None
    assert 0 < whole.integer_macs < 0.1


def test_dynamic_quantization_is_of_integers_on_onnx_runtime(tmp_path: Path) -> None:
    kernels = alone(digits(Int8Dynamic(kind="int8_dynamic"), tmp_path), tmp_path)
    assert kernels.integer_macs is not None
    assert kernels.integer_macs > 0
    assert kernels.products["DynamicQuantizeMatMul"] == 1


@needs_openvino
def test_dynamic_quantization_is_of_floats_on_openvino(tmp_path: Path) -> None:
    kernels = alone(digits(Int8Dynamic(kind="int8_dynamic"), tmp_path), tmp_path, "openvino-cpu")
    assert (kernels.integer_macs, kernels.float_types) == (0, ["float32"])


@needs_openvino
def test_openvino_in_bfloat16_says_so_where_the_cpu_has_it(tmp_path: Path) -> None:
    from worker.compression.runtime.on_openvino import CORE

    if "BF16" not in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bfloat16")
    kernels = alone(digits_net(), tmp_path, "openvino-cpu-bf16")
    assert (kernels.float_types[0], kernels.float_macs) == ("bfloat16", 1)


def test_a_file_in_float16_is_computed_in_what_the_runtime_has_kernels_for(tmp_path: Path) -> None:
    """ONNX Runtime's CPU has hardly any of float16: it inserts casts."""
    kernels = alone(digits(Float16(kind="float16"), tmp_path), tmp_path)
    assert kernels.float_macs == 1
    assert kernels.float_types[0] in ("float32", "float16")


def test_each_run_of_a_body_counts(tmp_path: Path) -> None:
    text = """(float[N,4] x) => (float[N,4] y) {
        c = MatMul (x, w)
        y = Loop (three, yes, c) <body = bod (int64 i, bool go, float[N,4] s) => (bool on, float[N,4] t) {
            on = Identity (go)
            m = MatMul (s, w)
            t = Tanh (m)
        }>
    }"""
    weights = {"w": np.eye(4, dtype=np.float32), "three": np.array(3), "yes": np.array(True)}
    kernels = alone(model(text, weights), tmp_path)
    assert (kernels.products, kernels.float_macs) == ({"MatMul": 2}, 1)


@pytest.mark.parametrize("target", [ORT, pytest.param("openvino-cpu", marks=needs_openvino)])
def test_recurrent_layers_are_told_too(target: Target, tmp_path: Path) -> None:
    kernels = alone(ir.from_proto(lstm()), tmp_path, target)
    assert (kernels.integer_macs, kernels.float_macs) == (0, 1)


def test_branches_do_not_stand_in_the_way(tmp_path: Path) -> None:
    assert alone(ir.from_proto(branches()), tmp_path).nodes > 0


def test_what_cannot_be_told_costs_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(measuring, "named_copy", breaks)
        arithmetic = told(digits_net(), digits_net(), tmp_path, ORT)
    assert (arithmetic.before, arithmetic.after) == (None, None)
    assert "What before is computed in could not be told (ZeroDivisionError)." in arithmetic.says
    monkeypatch.setattr(measuring, "MAX_BYTES", 1)
    assert told(digits_net(), digits_net(), tmp_path, ORT).says == (
        "What files of more than 1 bytes are computed in is not looked at."
    )
    monkeypatch.undo()
    monkeypatch.setattr(by_profile, "MAX_PROFILE_BYTES", 1)
    assert "so many nodes" in told(digits_net(), digits_net(), tmp_path, ORT).says
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after.onnx", "before.onnx"]
