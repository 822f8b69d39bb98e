"""New weights: each kind of constant begins as its scheme says."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.residual_nets import residual_net
from tests.support.small_nets import model
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.student.fresh import reinitialise

RNG = np.random.default_rng(0)


def array(net: ir.Model, name: str) -> np.ndarray:
    value = net.graph.initializers[name].const_value
    assert value is not None
    return value.numpy()


def test_convolutions_have_hes_variance_and_their_biases_are_zero() -> None:
    """To 5 %."""
    text = """(float[N,16,8,8] x) => (float[N,64,8,8] y) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        y = BatchNormalization (a, s, t, m, v)
    }"""
    vectors = {name: RNG.uniform(1, 2, 64).astype(np.float32) for name in "bstmv"}
    net = model(text, {"w": RNG.normal(size=(64, 16, 3, 3)).astype(np.float32), **vectors})
    weights = [name for name in net.graph.initializers if array(net, name).ndim == 4]
    reinitialise(net, 0)
    assert array(net, weights[0]).var() == pytest.approx(2 / (16 * 9), rel=0.05)
    ones = [name for name in ("s", "v") if name in net.graph.initializers]
    zeros = [name for name in net.graph.initializers if array(net, name).ndim == 1 and name not in ones]
    assert all((array(net, name) == 1).all() for name in ones)
    assert zeros
    assert all((array(net, name) == 0).all() for name in zeros)


def test_a_bias_that_is_added_behind_begins_as_zero_however_it_is_shaped() -> None:
    text = """(float[N,2,4,4] x) => (float[N,2,4,4] y) {
        a = Conv (x, w)
        b = Relu (a)
        c = Add (a, bias)
        y = Add (b, c)
    }"""
    weights = {"w": np.ones((2, 2, 1, 1), np.float32), "bias": np.array([[[3]], [[4]]], np.float32)}
    net = model(text, weights)
    reinitialise(net, 0)
    assert (array(net, "bias") == 0).all()


def test_products_have_glorots_bound_and_tables_a_small_deviation() -> None:
    """The bound is √(6 / 192); deviation to 5 %."""
    text = """(int64[N,L] ids) => (float[N,L,128] y) {
        a = Gather (table, ids)
        b = MatMul (a, w)
        c = Add (b, bias)
        y = LayerNormalization (c, gain, offset)
    }"""
    names = {"bias": 128, "gain": 128, "offset": 128}
    vectors = {name: RNG.uniform(1, 2, size).astype(np.float32) for name, size in names.items()}
    tables = {
        "table": RNG.normal(size=(500, 64)).astype(np.float32),
        "w": RNG.normal(size=(64, 128)).astype(np.float32),
    }
    net = model(text, tables | vectors)
    reinitialise(net, 0)
    bound = (6 / 192) ** 0.5
    assert 0.98 * bound < np.abs(array(net, "w")).max() <= bound
    assert array(net, "table").std() == pytest.approx(0.02, rel=0.05)
    assert (array(net, "bias") == 0).all()
    assert (array(net, "offset") == 0).all()
    assert (array(net, "gain") == 1).all()


def test_a_normalisation_that_is_written_out_begins_as_one_too() -> None:
    text = """(float[N,4] x) => (float[N,4] y) {
        a = MatMul (x, w)
        mean = ReduceMean <axes = [-1]> (a)
        centred = Sub (a, mean)
        squares = Mul (centred, centred)
        variance = ReduceMean <axes = [-1]> (squares)
        safe = Add (variance, eps)
        deviation = Sqrt (safe)
        unit = Div (centred, deviation)
        scaled = Mul (unit, gain)
        y = Add (scaled, offset)
    }"""
    gain, offset = (RNG.uniform(1, 2, 4).astype(np.float32) for _ in range(2))
    weights = {"w": np.eye(4, dtype=np.float32), "eps": np.float32(1e-5), "gain": gain, "offset": offset}
    net = model(text, weights)
    reinitialise(net, 0)
    values = [array(net, name) for name in net.graph.initializers]
    assert not any(np.array_equal(value, offset) for value in values)
    names = set(net.graph.initializers)
    if "gain" in names:  # normal form may have made one operator of it
        assert (array(net, "gain") == 1).all()
    assert "eps" not in names or array(net, "eps") == np.float32(1e-5)


@pytest.mark.parametrize(
    "norm",
    [
        "y = com.microsoft.SkipSimplifiedLayerNormalization (x, a, gain, bias)",
        "biased = Add (a, bias)\n s = Add (x, biased)\n y = SimplifiedLayerNormalization (s, gain)",
        "biased = Add (a, bias)\n s = Add (x, biased)\n square = Mul (s, s)\n "
        "mean = ReduceMean <axes = [-1]> (square)\n safe = Add (mean, eps)\n root = Sqrt (safe)\n "
        "share = Reciprocal (root)\n unit = Mul (s, share)\n"
        "y = Mul (gain, unit)",
        "[stays] y, mean, inverse = com.microsoft.SkipLayerNormalization (x, a, gain, beta, bias)\n"
        "z = Add (mean, inverse)",
    ],
    ids=["with a stream", "alone", "by a reciprocal", "left fused"],
)
def test_gains_of_fused_normalisations_begin_as_one_and_biases_as_zero(norm: str) -> None:
    also = ", float[N,1] z" if "z =" in norm else ""
    text = f"(float[N,4] x) => (float[N,4] y{also}) {{ a = MatMul (x, w)\n {norm} }}"
    names = [name for name in ("gain", "bias", "beta") if name in norm]
    weights = {name: RNG.uniform(1, 2, 4).astype(np.float32) for name in names}
    weights |= {"w": np.eye(4, dtype=np.float32)} | ({"eps": np.float32(1e-5)} if "eps" in norm else {})
    parsed = graphs.parse(text, weights, opset=17, ir_version=8, domains={"com.microsoft": 1})
    net = normalise(ir.from_proto(parsed))
    reinitialise(net, 0)
    assert (array(net, "gain") == 1).all()
    assert all((array(net, name) == 0).all() for name in names if name != "gain")


@pytest.mark.parametrize(("style", "share"), [("plain", 0.5), ("post", 1.0)])
def test_blocks_without_normalisation_add_less_each(style: str, share: float) -> None:
    """The bound of a product of 6 by 6 is √½; the last one of four blocks has half of that."""
    net = residual_net(style, [1.0] * 4)  # type: ignore[arg-type]
    reinitialise(net, 0)
    assert np.abs(array(net, "v0")).max() <= share * 0.5**0.5
    assert np.abs(array(net, "v0")).max() > share * 0.5**0.5 * 0.8
    assert np.abs(array(net, "u0")).max() > 0.5**0.5 * 0.8


def test_a_weight_that_two_layers_read_stays_one() -> None:
    text = "(float[N,4] x) => (float[N,4] y) { a = MatMul (x, w)\n y = MatMul (a, w) }"
    net = normalise(model(text, {"w": np.eye(4, dtype=np.float32)}))
    reinitialise(net, 0)
    assert list(net.graph.initializers) == ["w"]
    assert not np.array_equal(array(net, "w"), np.eye(4))
