"""Factors that are folded into the weights around change not a bit of what the network computes.

As it is written: of fusions, ONNX Runtime takes others where one number has become one for each channel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.collapsing_nets import (
    data_for,
    depthwise_net,
    joined_by_sigmoid,
    joined_net,
    norm_net,
    residual_net,
    stream_net,
)
from tests.support.small_nets import digits_net, model, ops, run
from tests.support.uneven_channels import uneven_net
from worker.compression.ir.edit import GraphEdit
from worker.compression.quantization.preparation.scale_groups.even_out import Factors, even_out
from worker.compression.quantization.preparation.scale_groups.rules import label_channels

NETS = [
    joined_net,
    joined_by_sigmoid,
    residual_net,
    depthwise_net,
    norm_net,
    stream_net,
    digits_net,
    uneven_net,
]


def moved_net() -> ir.Model:
    """Channels through a split, a transposition, a flattening, constants that are added, and a gate."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    return model(
        """(float[2,3,4,4] image) => (float[2,5] y) {
            [conv] c = Conv (image, w0, b0)
            [shift] s = Add (c, one)
            [scale] k = Mul (s, gains)
            [relu] r = LeakyRelu <alpha=0.1> (k)
            [split] u, v = Split <axis=1> (r, sizes)
            [inner] g = Conv (v, wg)
            [gate] q = Sigmoid (g)
            [gated] m = Mul (u, q)
            [back] j = Concat <axis=1> (m, u)
            [turn] t = Transpose <perm=[0, 2, 3, 1]> (j)
            [product] p = MatMul (t, w1)
            [bias] pb = Add (p, b1)
            [again] a = Transpose <perm=[0, 3, 1, 2]> (pb)
            [pool] o = AveragePool <kernel_shape=[2, 2], strides=[2, 2]> (a)
            [flat] f = Flatten (o)
            [head] y = Gemm (f, w2)
        }""",
        {
            "w0": normal(8, 3, 1, 1),
            "b0": normal(8),
            "one": np.array(0.5, np.float32),
            "gains": normal(1, 8, 1, 1),
            "sizes": np.array([4, 4], np.int64),
            "wg": normal(4, 4, 1, 1),
            "w1": normal(8, 6),
            "b1": normal(6),
            "w2": normal(24, 5),
        },
        opset=13,
    )


def some_factors(
    net: ir.Model, seed: int, cuts: frozenset[tuple[str, int]] = frozenset()
) -> tuple[ir.Model, int]:
    """Every channel that may be scaled is, by a power of 2 of its own class; and how many are."""
    edit = GraphEdit(net)
    labels = label_channels(edit, cuts)
    classes = labels.classes()
    pinned = labels.pinned(classes)
    exponents = np.random.default_rng(seed).integers(-8, 9, len(pinned)).astype(float)
    exponents[pinned] = 0
    return edit.model, even_out(edit, labels, Factors((2.0**exponents)[classes]))


@pytest.mark.parametrize("make", [*NETS, moved_net])
@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_not_a_bit_of_the_outputs_is_another(make: Callable[[], ir.Model], seed: int) -> None:
    x = data_for(make(), 2)
    scaled, channels = some_factors(make(), seed)
    assert channels > 0 or make in (joined_by_sigmoid,)
    np.testing.assert_array_equal(run(scaled, x, fused=False), run(make(), x, fused=False))


def test_a_mul_is_put_in_where_nothing_else_takes_a_factor() -> None:
    cuts = frozenset({("join", 0), ("join", 1), ("mix", 0)})
    x = data_for(joined_by_sigmoid(), 2)
    scaled, channels = some_factors(joined_by_sigmoid(), 3, cuts)
    assert channels > 0
    assert ops(scaled).count("Mul") >= 1
    np.testing.assert_array_equal(run(scaled, x), run(joined_by_sigmoid(), x))


def free(net: ir.Model, name: str, *exclude: str) -> bool:
    """Whether all channels of the value may be scaled."""
    labels = label_channels(GraphEdit(net, exclude))
    classes = labels.classes()
    value = next(value for value in labels.of if value.name == name)
    return not labels.pinned(classes)[classes[labels.of[value].labels]].any()


def test_channels_that_leave_the_model_or_meet_a_normalisation_keep_their_scale() -> None:
    assert not free(joined_net(), "y")
    assert not free(stream_net(), "x0")
    assert free(joined_net(), "c")
    assert free(norm_net(), "n")


def test_excluded_nodes_pin_what_they_touch() -> None:
    assert free(residual_net(), "m")
    assert not free(residual_net(), "m", "head")
    assert not free(residual_net(), "a", "sum")
