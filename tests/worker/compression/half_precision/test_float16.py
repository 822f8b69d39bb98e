"""float16 on graphs built here. 40 dB is a relative error of one percent; half precision gives about 60."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.support.graphs import node, siblings
from tests.support.ort import run as run_on
from tests.support.small_nets import (
    digits_net,
    digits_samples,
    model,
    model_of,
    named,
    ops,
    proto,
    run,
    samples,
    snr_db,
)
from tests.worker.compression.quantization.test_int8_static import branching
from winnow.contract.recipe import Float16, Int8Static
from worker.compression.apply import apply
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.ir.edit import new_constant
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

HALF = ir.DataType.FLOAT16
STEP = Float16.model_validate({"kind": "float16"})


def halve(net: ir.Model, **step: Any) -> StepResult:
    return apply(net, Float16.model_validate({"kind": "float16", **step}), Context(Path(), 0, Silent()))


def answer(net: bytes, x: Any) -> Any:
    return ort.InferenceSession(net, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def images(n: int = 20) -> Any:
    return np.random.default_rng(0).uniform(size=(n, 1, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_a_net_is_half_the_size_and_close(opset: int) -> None:
    made = halve(digits_net(opset))
    assert (made.changed, made.candidates) == (4, 4)
    assert made.model.opset_imports == {"": opset}
    assert snr_db(run(digits_net(opset), {"image": images()}), run(made.model, {"image": images()})) > 40
    assert proto(made.model).ByteSize() < 0.6 * proto(digits_net(opset)).ByteSize()


def test_inputs_and_outputs_stay_float32_unless_told() -> None:
    kept, changed = (halve(digits_net(), keep_io_types=keep).model for keep in (True, False))
    assert [v.dtype for v in (*kept.graph.inputs, *kept.graph.outputs)] == [ir.DataType.FLOAT] * 2
    assert [v.dtype for v in (*changed.graph.inputs, *changed.graph.outputs)] == [HALF] * 2
    assert [v.name for v in (*changed.graph.inputs, *changed.graph.outputs)] == ["image", "logits"]
    assert "Cast" not in ops(changed)
    before = run(kept, {"image": images()})
    assert snr_db(before, run(changed, {"image": images().astype(np.float16)})) > 40


def test_excluded_nodes_keep_float32() -> None:
    made = halve(digits_net(), exclude=["conv2"])
    assert (made.changed, made.candidates) == (3, 4)
    weight = named(made.model, "conv2").inputs[1].const_value  # type: ignore[union-attr]
    np.testing.assert_array_equal(weight.numpy(), named(digits_net(), "conv2").inputs[1].const_value.numpy())  # type: ignore[union-attr]
    assert snr_db(run(digits_net(), {"image": images()}), run(made.model, {"image": images()})) > 40


def test_the_scales_of_a_resize_stay_float32() -> None:
    nodes = [
        node("Conv", "x w", "c", "conv"),
        node("Resize", "c  scales", "y", "resize", mode="linear"),
    ]
    nodes[1].input[:] = ["c", "", "scales"]
    weights = {"w": np.ones((2, 1, 1, 1), np.float32), "scales": np.array([1, 1, 2, 2], np.float32)}
    net = model_of(nodes, {"x": [1, 1, 4, 4]}, {"y": [1, 2, 8, 8]}, weights)
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype(np.float32)
    before = run(net, {"x": x})
    made = halve(net)
    assert named(made.model, "resize").inputs[2].dtype == ir.DataType.FLOAT  # type: ignore[union-attr]
    assert snr_db(before, run(made.model, {"x": x})) > 40


def test_a_weight_beyond_the_range_stays_float32_with_a_note() -> None:
    weights = {"big": np.array([1e5], np.float32), "small": np.array([1e-3], np.float32)}
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [little] a = Mul (x, small)
            [large] y = Mul (a, big)
        }""",
        weights,
    )
    made = halve(net, exclude=[])
    assert (made.changed, made.candidates) == (1, 2)
    assert "large stays in float32" in made.notes[0]
    assert named(made.model, "large").inputs[1].const_value.dtype == ir.DataType.FLOAT  # type: ignore[union-attr]
    assert np.isfinite(run(made.model, {"x": np.full((1, 4), 1e-3, np.float32)})).all()


@pytest.mark.parametrize("with_data", [False, True])
def test_the_lowest_float32_that_is_filled_in_becomes_the_lowest_float16(
    tmp_path: Path, with_data: bool
) -> None:
    lowest = np.finfo(np.float32).min
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            t = Tanh (x)
            filled = Where (seen, t, lowest)
            y = Identity (filled)
        }""",
        {"seen": np.array([True, False, True, True]), "lowest": np.array(lowest)},
    )
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    rows = samples(tmp_path, net, x=x) if with_data else None
    step = Float16.model_validate({"kind": "float16", "keep_io_types": False})
    made = apply(net, step, Context(tmp_path, 0, Silent(), rows))
    y = run(made.model, {"x": x.astype(np.float16)})
    assert y.dtype == np.float16
    assert (y[:, 1] == np.finfo(np.float16).min).all()
    assert "Cast" not in ops(made.model)


@pytest.mark.parametrize("with_data", [False, True])
def test_a_log_softmax_behind_what_is_filled_in_stays_finite(tmp_path: Path, with_data: bool) -> None:
    """Also for larger numbers than the calibration data has: 40 more than the lowest float16 is none."""
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            filled = Where (seen, x, lowest)
            [log] y = LogSoftmax <axis=-1> (filled)
        }""",
        {"seen": np.array([True, False, True, True]), "lowest": np.array(np.finfo(np.float32).min)},
    )
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    rows = samples(tmp_path, net, x=x) if with_data else None
    step = Float16.model_validate({"kind": "float16", "exclude": [], "keep_io_types": False})
    made = apply(net, step, Context(tmp_path, 0, Silent(), rows))
    y = run(made.model, {"x": (x + 40).astype(np.float16)})
    assert np.isfinite(y).all()
    assert (y[:, 1] <= np.finfo(np.float16).min).all()


def test_what_an_attribute_types_is_left_alone() -> None:
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [shape] shape = Shape (x)
            [zeros] zeros = ConstantOfShape (shape)
            [cast] floats = Cast <to=1> (shape)
            [add] a = Add (x, zeros)
            [product] m = MatMul (a, w)
            [largest] n = ReduceMax <keepdims=0> (floats)
            [divide] y = Div (m, n)
        }""",
        {"w": np.eye(4, dtype=np.float32)},
    )
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    before = run(net, {"x": x})
    assert snr_db(before, run(halve(net).model, {"x": x})) > 40


def test_a_subgraph_reads_what_it_read_in_float32() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    made = halve(branching())
    assert named(made.model, "outside").inputs[1].dtype == HALF  # type: ignore[union-attr]
    assert snr_db(run(branching(), {"x": x}), run(made.model, {"x": x})) > 40


def test_a_value_that_is_output_and_read_inside_is_right_in_both_places() -> None:
    for keep in (True, False):
        net = model(
            """(float[N,4] x) => (float[N,4] h, float[N,4] y) {
                [first] h = MatMul (x, w)
                [second] y = MatMul (h, w)
            }""",
            {"w": np.eye(4, dtype=np.float32) * 2},
        )
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        made = halve(net, keep_io_types=keep).model
        feeds = {"x": x if keep else x.astype(np.float16)}
        for name, factor in (("h", 2), ("y", 4)):
            got = run(made, feeds, name)
            assert got.dtype == (np.float32 if keep else np.float16)
            np.testing.assert_allclose(got, x * factor, rtol=1e-3)


def test_a_quantized_net_still_runs(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    static = Int8Static.model_validate({"kind": "int8_static", "samples": 64, "exclude": ["head/*"]})
    quantized = apply(digits_net(), static, Context(tmp_path, 0, Silent(), data)).model
    before = run(quantized, {"image": images()})
    assert snr_db(before, run(halve(quantized).model, {"image": images()})) > 40


@pytest.fixture(scope="module")
def another_process() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize(
    ("perm", "dims"), [((1, 0, 2), (4, 5, 6)), ((1, 2, 0), (6, 4, 5)), ((1, 2, 3, 0), (6, 2, 4, 5))]
)
def test_a_product_behind_a_transposition_of_the_first_axis_runs(
    perm: Any, dims: Any, another_process: ProcessPoolExecutor
) -> None:
    """In another process: ONNX Runtime would end this one."""
    w = np.random.default_rng(0).normal(size=(6, 300)).astype(np.float32)
    shape = [dims[axis] for axis in perm[:-1]] + [300]
    nodes = [node("Transpose", "x", "t", "turn", perm=perm), node("MatMul", "t w", "y", "product")]
    net = model_of(nodes, {"x": list(dims)}, {"y": shape}, {"w": w})
    x = np.random.default_rng(1).normal(size=dims).astype(np.float32)
    half = proto(halve(net).model).SerializeToString()
    found = another_process.submit(answer, half, x).result()
    assert snr_db(run(net, {"x": x}), found) > 40


def logarithm(epsilon: float, *, kind: str = "Add") -> ir.Model:
    """log(relu(x) + ε), or of the larger of both: −∞ where ε is 0 and x is not above it."""
    weights = {"epsilon": np.array(epsilon, np.float32), "w": np.eye(4, dtype=np.float32)}
    return model(
        f"""(float[N,4] x) => (float[N,4] y) {{
            [relu] r = Relu (x)
            [floor] s = {kind} (r, epsilon)
            [log] l = Log (s)
            [product] y = MatMul (l, w)
        }}""",
        weights,
    )


@pytest.mark.parametrize("kind", ["Add", "Max"])
@pytest.mark.parametrize("epsilon", [1e-10, 6e-8, 5e-5])
@pytest.mark.parametrize("data", [True, False], ids=["with data", "without"])
def test_a_constant_that_vanishes_keeps_its_node_and_the_logarithm_behind_it(
    kind: str, epsilon: float, data: bool, tmp_path: Path
) -> None:
    x = np.array([[-1, 0, 1e-3, 2]] * 4, np.float32)
    given = samples(tmp_path, logarithm(epsilon), x=x) if data else None
    made = apply(logarithm(epsilon, kind=kind), STEP, Context(tmp_path, 0, Silent(), given))
    expected = run_on(logarithm(epsilon, kind=kind), {"x": x})[0]
    found = run_on(made.model, {"x": x})[0]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert any("floor" in note and "vanishes" in note for note in made.notes)


def test_what_made_the_input_of_a_broken_island_becomes_one_too(tmp_path: Path) -> None:
    """x · 10⁻⁴ · 10⁻⁴ is 0 in float16, though neither constant is; a float32 logarithm of it does not help."""
    weights = {"small": np.array(1e-4, np.float32), "w": np.eye(4, dtype=np.float32)}
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [first] a = Mul (x, small)
            [second] b = Mul (a, small)
            [log] l = Log (b)
            [product] y = MatMul (l, w)
        }""",
        weights,
    )
    x = np.full((4, 4), 2, np.float32)
    made = apply(net.clone(), STEP, Context(tmp_path, 0, Silent(), samples(tmp_path, net, x=x)))
    np.testing.assert_allclose(run_on(made.model, {"x": x})[0], run_on(net, {"x": x})[0], rtol=2e-3)


def test_an_output_that_a_branch_makes_is_float16_when_outputs_are_asked_for_in_it(tmp_path: Path) -> None:
    net = normalise(ir.from_proto(siblings()))
    head = ir.node(
        "MatMul", [net.graph.outputs[0], new_constant(net.graph, "w", np.eye(10, dtype=np.float32))]
    )
    head.outputs[0].name, head.outputs[0].dtype = "z", ir.DataType.FLOAT
    head.outputs[0].shape, head.name = net.graph.outputs[0].shape, "head"
    net.graph.append(head)
    net.graph.outputs.append(head.outputs[0])
    made = halve(net, keep_io_types=False)
    assert [value.dtype for value in made.model.graph.outputs] == [ir.DataType.FLOAT16] * 2
    feeds = {"x": np.ones((2, 3, 8, 8), np.float16), "flag": np.array(True)}
    assert [answer.dtype for answer in run_on(made.model, feeds)] == [np.float16] * 2
