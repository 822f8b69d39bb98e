"""Which weights go: the share is exact, N:M and blocks hold in every group, neighbours are input channels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_nets import model
from worker.compression.layers.linear import Linear, linears
from worker.compression.layers.sparsity_pattern import Structure, pattern_order


def convolution(weight: Any, group: int = 1) -> Linear:
    width = weight.shape[1] * group
    net = model(
        f"(float[N,{width},9,9] x) => (float[?,?,?,?] y) {{ [conv] y = Conv <group={group}> (x, w) }}",
        {"w": weight.astype(np.float32)},
    )
    (layer,) = linears(net)
    return layer


def test_neighbours_in_order_are_input_channels_at_one_position() -> None:
    weight = np.arange(8 * 4 * 3 * 3).reshape(8, 4, 3, 3)
    layer = convolution(weight)
    assert layer.channels == 4
    ordered = layer.matrix()[:, :, pattern_order(layer)]
    assert ordered[0, 2, :4].tolist() == weight[2, :, 0, 0].tolist()
    assert ordered[0, 2, 4:8].tolist() == weight[2, :, 0, 1].tolist()


@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(1, 3),
    outer=st.integers(1, 9),
    runs=st.integers(1, 6),
    kept_of=st.sampled_from([(1, 2), (2, 4), (4, 8), (1, 4), (3, 5)]),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_every_run_of_m_keeps_n_or_more_and_exactly_n_in_the_end(
    groups: int, outer: int, runs: int, kept_of: tuple[int, int], share: float, seed: int
) -> None:
    kept, of = kept_of
    structure = Structure(n=kept, m=of)
    scores = np.random.default_rng(seed).integers(0, 5, (groups, outer, runs * of)).astype(float)
    most = structure.max_zeros(scores.shape)
    for count in (round(share * most), most):
        gone = structure.weakest(scores, count)
        assert gone.sum() == count
        left = (~gone).reshape(groups, outer, runs, of).sum(-1)
        assert (left >= kept).all()
    assert (left == kept).all()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 3), columns=st.integers(1, 4), high=st.integers(1, 5), wide=st.integers(1, 5),
    share=st.floats(0, 1), seed=st.integers(0, 99),
)  # fmt: skip
def test_blocks_go_whole_the_weakest_first(
    rows: int, columns: int, high: int, wide: int, share: float, seed: int
) -> None:
    structure = Structure(rows, columns)
    scores = np.random.default_rng(seed).random((1, rows * high, columns * wide))
    count = round(share * scores.size)
    gone = structure.weakest(scores, count)
    assert gone.sum() == count // structure.unit * structure.unit
    blocks = gone.reshape(high, rows, wide, columns).transpose(0, 2, 1, 3).reshape(high * wide, -1)
    assert (blocks.all(1) | ~blocks.any(1)).all()
    sums = scores.reshape(high, rows, wide, columns).sum((1, 3)).reshape(-1)
    if blocks.any() and not blocks.all():
        assert sums[blocks.all(1)].max() <= sums[~blocks.any(1)].min()


@pytest.mark.parametrize(
    ("weight", "group", "structure", "why"),
    [
        ((8, 4, 3, 3), 1, Structure(n=2, m=4), None),
        ((8, 3, 3, 3), 1, Structure(n=2, m=4), "3 inputs"),
        ((8, 1, 3, 3), 8, Structure(n=2, m=4), "1 inputs"),
        ((8, 4, 3, 3), 2, Structure(4, 4), None),
        ((6, 4, 3, 3), 1, Structure(4, 4), "6 outputs"),
        ((6, 4, 3, 3), 1, Structure(), None),
    ],
)
def test_what_does_not_divide_is_told_with_its_sizes(
    weight: tuple[int, ...], group: int, structure: Structure, why: str | None
) -> None:
    found = structure.why_ineligible(convolution(np.zeros(weight), group))
    assert found is None if why is None else found is not None and found.startswith(why)
