"""What is done to each channel of a layer goes into it: the same outputs to 1e-5 of the largest, one node less each."""

from typing import Any

import numpy as np
import pytest

from tests.support.ort import largest_difference, run
from tests.support.small_nets import model
from worker.compression.ir.edit import GraphEdit
from worker.compression.layers.channel_affine import channel_affine, fold

TOLERANCE = 1e-5
RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


LAYERS = {
    "Conv": ("float[N,4,6,6]", "Conv (x, w, b)", {"w": numbers(6, 4, 3, 3), "b": numbers(6)}, (1, 6, 1, 1)),
    "grouped Conv": ("float[N,4,6,6]", "Conv <group=2> (x, w)", {"w": numbers(6, 2, 3, 3)}, (6, 1, 1)),
    "ConvTranspose": (
        "float[N,4,6,6]",
        "ConvTranspose <group=2> (x, w)",
        {"w": numbers(4, 3, 2, 2)},
        (1, 6, 1, 1),
    ),
    "Gemm": ("float[N,4]", "Gemm (x, w, b)", {"w": numbers(4, 6), "b": numbers(1, 6)}, (6,)),
    "Gemm of a transposed weight": ("float[N,4]", "Gemm <transB=1> (x, w)", {"w": numbers(6, 4)}, (1, 6)),
}
BEHIND = {
    "normalised": "BatchNormalization (a, g, h, m, v)",
    "scaled": "Mul (a, c)",
    "scaled down": "Div (a, c)",
    "shifted": "Add (c, a)",
    "less": "Sub (a, c)",
    "subtracted": "Sub (c, a)",
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("behind", BEHIND)
def test_a_layer_takes_it_up(layer: str, behind: str) -> None:
    shape, node, weights, per_channel = LAYERS[layer]
    more = {name: numbers(6) for name in "ghm"} | {"v": RNG.uniform(0.5, 2, 6).astype(np.float32)}
    more = more if behind == "normalised" else {"c": numbers(*per_channel) + 3}
    rank = "N,6" if layer.startswith("Gemm") else "N,6,P,Q"
    made = model(
        f"({shape} x) => (float[{rank}] y) {{ [layer] a = {node} [behind] n = {BEHIND[behind]} [out] y = Relu (n) }}",
        weights | more,
    )
    x = numbers(2, *([4] if layer.startswith("Gemm") else [4, 6, 6]))
    before = run(made, {"x": x})
    affine = channel_affine(list(made.graph)[1])
    assert affine is not None
    fold(GraphEdit(made), affine)
    assert [each.name for each in made.graph] == ["layer", "out"]
    assert next(iter(made.graph)).outputs[0].name == "n"
    assert largest_difference(before, run(made, {"x": x})) <= TOLERANCE


@pytest.mark.parametrize(
    "behind",
    [
        "c = Identity (a) b = Mul (a, f)",  # another reader
        "b = Mul (a, wide)",  # not the same all over a channel
        "b = Mul (a, x)",
        "b = Div (f, a)",
        "b = Mul (a, endless)",
        "b = BatchNormalization <training_mode=1> (a, g, g, g, g)",
    ],
)
def test_what_cannot_be_folded_is_not(behind: str) -> None:
    constants = {
        "w": numbers(4, 4, 1, 1),
        "f": numbers(1, 4, 1, 1),
        "wide": numbers(6, 6),
        "g": np.ones(4, np.float32),
    }
    constants["endless"] = np.full((4, 1, 1), np.inf, np.float32)
    extra = ", float[N,4,6,6] d" if "c =" in behind else ""
    tail = "d = Abs (c)" if extra else ""
    made = model(
        f"(float[N,4,6,6] x) => (float[N,4,6,6] y{extra}) {{ a = Conv (x, w) {behind} {tail} y = Relu (b) }}",
        {name: array for name, array in constants.items() if name in "w" or f"{name}" in behind},
    )
    assert all(channel_affine(node) is None for node in made.graph)


def test_a_weight_that_another_layer_reads_is_told() -> None:
    made = model(
        """(float[N,4,6,6] x) => (float[N,4,6,6] y) {
            a = Conv (x, w) b = Mul (a, f) c = Conv (b, w) y = Relu (c)
        }""",
        {"w": numbers(4, 4, 1, 1), "f": numbers(1, 4, 1, 1)},
    )
    (affine,) = [affine for node in made.graph if (affine := channel_affine(node)) is not None]
    assert not affine.reads_weight_alone
