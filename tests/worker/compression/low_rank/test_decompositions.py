"""Costs of splits: what is planned is what the formulas count on the graph that comes of it."""

from typing import Any

import numpy as np
import pytest

from tests.support.small_nets import model
from worker.compression.graph.facts import cost
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.ir.naming import Names
from worker.compression.layers.linear import linears
from worker.compression.low_rank.decompositions import (
    Geometry,
    OutputRows,
    Split,
    geometry,
    is_fast_rank,
    rounded_to_fast_rank,
)
from worker.compression.low_rank.graph_surgery import factorise
from worker.compression.low_rank.layer_study import LayerStudy


@pytest.mark.parametrize(
    "split", [Split("channel", (3,)), Split("spatial", (2,)), Split("tucker", (2, 5))], ids=lambda s: s.kind
)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("strides", [[1, 1], [2, 3]])
def test_a_convolution(split: Any, groups: int, strides: list[int]) -> None:
    weight = np.random.default_rng(0).normal(size=(12, 8 // groups, 3, 5)).astype(np.float32)
    net = model(
        f"""(float[N,8,11,14] x) => (float[N,12,?,?] y) {{
            [layer] y = Conv <strides={strides}, pads=[1, 2, 0, 1], group={groups}> (x, w)
        }}""",
        {"w": weight},
    )
    (layer,) = linears(net)
    size = geometry(layer, next(iter(with_shapes(net).graph)))
    assert size is not None
    assert (size.cost.macs, size.cost.parameters) == (cost.macs(net), weight.size)
    factorise(layer, split, LayerStudy(layer, size).factorised(split).parts, None, Names(net))
    net = normalise(net)
    planned = size.cost_of(split)
    assert (planned.macs, planned.parameters) == (cost.macs(net), cost.parameters(net))


def test_which_ways_there_are() -> None:
    at = OutputRows(1, 1, 1)
    assert Geometry(1, 8, 4, (), at).split_kinds == ("svd",)
    assert Geometry(1, 8, 4, (1, 1), at).split_kinds == ("svd",)
    assert Geometry(1, 8, 4, (3,), at).split_kinds == ("channel", "tucker")
    assert Geometry(1, 8, 4, (3, 1), at).split_kinds == ("channel", "tucker")
    assert Geometry(1, 8, 4, (3, 3), at).split_kinds == ("channel", "tucker", "spatial")
    assert Geometry(8, 1, 1, (3, 3), at).split_kinds == ("spatial",)
    assert Geometry(1, 1, 4, (), at).split_kinds == ()


def test_wide_ranks_are_multiples_of_eight() -> None:
    assert [rank for rank in range(1, 34) if is_fast_rank(rank)] == [*range(1, 17), 24, 32]
    assert [rounded_to_fast_rank(rank) for rank in (0, 5, 16, 17, 24, 25)] == [0, 5, 16, 24, 24, 32]
