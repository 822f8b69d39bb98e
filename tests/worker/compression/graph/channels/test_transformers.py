"""Heads, inner widths and the embedding width of exported transformers: what is one channel, and what a cut of it does.

Outputs are compared at 1e-5, relative and of the largest value: float32 in another order of sums.
"""

from functools import cache
from typing import Literal

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import graphs
from tests.support.channels import assert_equal, assert_laws, cut_and_run, every_third, groups_of, units
from tests.support.onnx_export import Exporter
from tests.support.ort import run
from tests.support.transformers import INNER, LENGTH, STREAM, STYLES, exported
from worker.compression.graph.channels import Channel, Cuttable, Group, Groups, Part, channel_groups, cut

INSIDE, STREAM_TOO = Cuttable("inside"), Cuttable(embedding_width=True)
DYNAMO = ("fused",)
"""Styles that its graphs differ in, besides `llama` below; each takes seconds to export."""
CASES: list[tuple[str, Exporter, int | None]] = [
    *((name, "torchscript", None) for name in STYLES),
    *((name, "dynamo", None) for name in DYNAMO),
    ("llama", "dynamo", 23),
]
"""At opset 23 torch writes attention as one operator."""


@cache
def made(
    case: tuple[str, Exporter, int | None], cuttable: Cuttable
) -> tuple[ir.Model, Groups, dict[str, np.ndarray]]:
    proto = exported(*case)
    model, groups = groups_of(proto, cuttable)
    return model, groups, graphs.feeds(proto, batch=2)


def of_unit(groups: Groups, unit: str) -> Group:
    (group,) = (group for group in groups.groups if group.unit == unit)
    return group


def with_parts(model: ir.Model, change: dict[str, list[tuple[Part, Part | None]]]) -> ir.Model:
    """A copy: of each initializer the slices of first parts are those of the second, or zero."""
    copy = model.clone()
    for name, pairs in change.items():
        value = copy.graph.initializers[name]
        array = value.const_value.numpy().copy()
        for to, source in pairs:
            before = (slice(None),) * to.axis
            array[(*before, list(to.indices))] = (
                0 if source is None else array[(*before, list(source.indices))]
            )
        value.const_value = ir.Tensor(array, name=name)
    return copy


def masked(model: ir.Model, heads: list[Channel]) -> ir.Model:
    """The whole network, with zeros where the projection behind the heads reads these."""
    change: dict[str, list[tuple[Part, Part | None]]] = {}
    for part in (part for head in heads for part in head.parts if part.role == "input"):
        change.setdefault(part.initializer, []).append((part, None))
    return with_parts(model, change)


@pytest.mark.parametrize(("heads", "group"), [("whole", ("head", 4)), ("inside", ("head_width", 6))])
def test_samples_that_lie_beside_heads_are_no_width_where_their_number_is_fixed(
    heads: Literal["whole", "inside"], group: tuple[str, int]
) -> None:
    proto = onnx.ModelProto.FromString(exported("beside_batch", "torchscript").SerializeToString())
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    model, groups = groups_of(proto, Cuttable(heads))
    assert group in units(groups).values()
    assert_laws(model, every_third(groups), graphs.feeds(proto, batch=3), Cuttable(heads))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_heads_and_inner_widths_are_offered_and_keep_the_laws(
    case: tuple[str, Exporter, int | None],
) -> None:
    """Queries that share keys and values go together; one key for all stays where it is."""
    style = STYLES[case[0]]
    model, groups, feeds = made(case, Cuttable())
    heads, inner = of_unit(groups, "head"), of_unit(groups, "channel")
    groups_of_queries = style.key_value_heads if style.key_value_heads > 1 else style.heads
    assert (len(heads.channels), len(inner.channels)) == (groups_of_queries, INNER)
    assert heads.queries == style.heads // groups_of_queries
    assert heads.width == STREAM // groups_of_queries
    assert len(heads.producers) == (1 if style.qkv != "separate" or style.key_value_heads == 1 else 3)
    assert_laws(model, every_third(groups), feeds)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_cut_of_heads_equals_the_network_with_these_heads_masked_in_front_of_the_projection(
    case: tuple[str, Exporter, int | None],
) -> None:
    model, groups, feeds = made(case, Cuttable())
    heads = list(of_unit(groups, "head").channels[:-1])
    assert_equal(run(masked(model, heads), feeds), cut_and_run(model, heads, feeds))


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(["llama", "fused", "many_heads"]), data=st.data())
def test_any_heads_that_the_projection_reads_as_zero_go_without_changing_an_output(
    name: str, data: st.DataObject
) -> None:
    model, groups, feeds = made((name, "torchscript", None), Cuttable())
    channels = of_unit(groups, "head").channels
    going = data.draw(st.lists(st.sampled_from(channels), unique=True, max_size=len(channels) - 1))
    whole = masked(model, going)
    assert_equal(run(whole, feeds), cut_and_run(whole, going, feeds))


@pytest.mark.parametrize("case", CASES[:-1], ids=str)
def test_inside_of_heads_their_number_stays(case: tuple[str, Exporter, int | None]) -> None:
    """Rotary embeddings turn pairs of places, which go together; values are no such pairs."""
    style = STYLES[case[0]]
    model, groups, feeds = made(case, INSIDE)
    found = sorted(len(group.channels) for group in groups.groups if group.unit == "head_width")
    width = STREAM // style.heads
    assert set(found) <= {width, width // 2}
    assert (width // 2 in found) == style.rotary
    assert not any(group.unit == "head" for group in groups.groups)
    assert_laws(model, every_third(groups), feeds, INSIDE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_embedding_width_goes_on_request_only(case: tuple[str, Exporter, int | None]) -> None:
    _, groups, _ = made(case, Cuttable())
    assert "embedding" not in {group.unit for group in groups.groups}
    assert sum(pinned.channels for pinned in groups.pinned if pinned.unit == "embedding") >= STREAM
    model, groups, feeds = made(case, STREAM_TOO)
    assert len(of_unit(groups, "embedding").channels) == STREAM
    (found,) = cut_and_run(model, every_third(groups), feeds, STREAM_TOO)
    assert found.shape == (2, LENGTH, 5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_channels_of_the_stream_that_are_copies_and_that_nothing_reads_change_nothing_when_they_go(
    case: tuple[str, Exporter, int | None],
) -> None:
    """Mean and variance are the same of every channel once as of every channel twice."""
    model, groups, feeds = made(case, STREAM_TOO)
    channels = of_unit(groups, "embedding").channels
    change: dict[str, list[tuple[Part, Part | None]]] = {}
    for first, second in zip(channels[: STREAM // 2], channels[STREAM // 2 :], strict=True):
        for source, copy in zip(first.parts, second.parts, strict=True):
            change.setdefault(copy.initializer, []).append((copy, None if copy.role == "input" else source))
    twice = with_parts(model, change)
    assert_equal(run(twice, feeds), cut_and_run(twice, list(channels[STREAM // 2 :]), feeds, STREAM_TOO))


def test_a_network_that_was_cut_is_cut_again() -> None:
    """One group of two queries is left: they share the only key, and go one by one."""
    model, groups, feeds = made(("llama", "torchscript", None), STREAM_TOO)
    assert units(groups)["/attention/query/MatMul"] == ("head", 2)
    smaller = cut(model, every_third(groups), STREAM_TOO)
    again = channel_groups(smaller, STREAM_TOO)
    assert dict(units(again).values()) == {"head": 2, "channel": 27, "embedding": 16}
    cut_and_run(smaller, every_third(again), feeds, STREAM_TOO)
