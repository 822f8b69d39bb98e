"""Equal constants are stored once, in branches too; gains and biases that are equal by chance are not."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.simplify.tied_constants import tie_constants


def test_equal_weights_are_one_and_what_differs_in_a_bit_type_or_shape_is_not() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    other = weight.copy()
    other[0, 0] = np.nextafter(other[0, 0], np.float32(9))
    weights = {
        "a": weight,
        "b": weight.copy(),
        "c": other,
        "d": weight.reshape(2, 8),
        "e": weight.astype(np.float64),
    }
    made = normalise(
        ir.from_proto(
            graphs.parse(
                """(float[N,4] x, double[N,4] z) => (float[N,4] y, float[2,8] u, double[N,4] v) {
                    p = MatMul (x, a) q = MatMul (p, b) y = MatMul (q, c) u = Neg (d) v = MatMul (z, e)
                }""",
                weights,
            )
        )
    )
    feeds = {"x": np.ones((2, 4), np.float32), "z": np.ones((2, 4))}
    before = run(made, feeds, optimize=False)
    assert tie_constants(made) == 1
    assert set(made.graph.initializers) == {"a", "c", "d", "e"}
    assert all(np.array_equal(a, b) for a, b in zip(before, run(made, feeds, optimize=False), strict=True))


def test_biases_of_zeros_stay_apart_and_single_numbers_and_integers_do_not() -> None:
    made = normalise(
        ir.from_proto(
            graphs.parse(
                """(float[2,4] x) => (float[2,4] y) {
                    a = Add (x, zeros) b = Mul (a, half) c = Reshape (b, s) d = Neg (c)
                    e = Reshape (d, t) f = Mul (e, also_half) y = Add (f, also_zeros)
                }""",
                {
                    "zeros": np.zeros(4, np.float32),
                    "also_zeros": np.zeros(4, np.float32),
                    "half": np.array(0.5, np.float32),
                    "also_half": np.array(0.5, np.float32),
                    "s": np.array([4, 2]),
                    "t": np.array([4, 2])[::-1].copy(),
                },
            )
        )
    )
    assert tie_constants(made) == 1
    assert {"zeros", "also_zeros"} <= set(made.graph.initializers)


def test_equal_weights_of_both_branches_lie_in_the_main_graph() -> None:
    model = graphs.branches()
    first, second = model.graph.node[0].attribute
    second.g.node[0].attribute[0].t.CopyFrom(first.g.node[0].attribute[0].t)
    made = normalise(ir.from_proto(model))
    feeds = graphs.feeds(model) | {"flag": np.array(False)}
    before = run(model, feeds, optimize=False)
    assert tie_constants(made) == 1
    assert [len(graph.initializers) for graph in made.graphs()] == [1, 0, 0]
    assert np.array_equal(before[0], run(made, feeds, optimize=False)[0])


def test_weights_in_a_file_beside_the_model_are_compared_too(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    text = "(float[N,64] x) => (float[N,64] y) { p = MatMul (x, a) q = Relu (p) y = MatMul (q, b) }"
    made = graphs.parse(text, {"a": weight, "b": weight.copy()})
    onnx.save_model(
        made, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.data", size_threshold=0
    )
    loaded = normalise(model_files.load(tmp_path / "m.onnx"))
    assert tie_constants(loaded) == 1
    assert isinstance(loaded.graph.initializers["a"].const_value, ir.ExternalTensor)
