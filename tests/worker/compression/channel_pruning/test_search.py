"""How many channels each group keeps: laws of pools and of the search."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_nets import digits_net
from winnow.contract.forecast.cuts import ChannelCounts, rounded_count, smallest_cut
from worker.compression.channel_pruning.pools import Pools, competing_pools
from worker.compression.graph.channels import channel_groups

Case = tuple[list[int], list[int], str, int]
CASES = st.tuples(
    st.lists(st.integers(2, 40), min_size=1, max_size=6),
    st.lists(st.sampled_from([1, 1, 2, 4, 8]), min_size=6, max_size=6),
    st.sampled_from(["layer", "global"]),
    st.integers(0, 1000),
)


def made(case: Case) -> Pools:
    sizes, multiples, scope, seed = case
    rng = np.random.default_rng(seed)
    numbers = list(range(len(sizes)))
    members = [numbers] if scope == "global" else [[n] for n in numbers]
    return Pools([rng.random(size) for size in sizes], members, multiples[: len(sizes)])


def quadratic(sizes: Sequence[int], kept: ChannelCounts) -> float:
    """Like multiply-accumulates of a chain: what a layer makes times what it reads."""
    chain = [3, *kept]
    whole = [3, *sizes]
    return sum(a * b for a, b in pairwise(chain)) / sum(a * b for a, b in pairwise(whole))


@settings(max_examples=200, deadline=None)
@given(CASES, st.floats(0, 1), st.floats(0, 1))
def test_one_channel_of_each_group_stays_and_a_larger_share_never_keeps_more(
    case: Case, a: float, b: float
) -> None:
    found = made(case)
    less, more = found.counts_without(max(a, b)), found.counts_without(min(a, b))
    assert all(1 <= few <= many <= size for few, many, size in zip(less, more, case[0], strict=True))


@settings(max_examples=200, deadline=None)
@given(CASES, st.floats(0, 1))
def test_what_is_cut_into_is_a_multiple(case: Case, share: float) -> None:
    for kept, size, multiple in zip(made(case).counts_without(share), case[0], case[1], strict=False):
        assert kept == size or kept % multiple == 0


@settings(max_examples=200, deadline=None)
@given(CASES, st.floats(0.05, 0.95))
def test_a_target_is_met_within_one_step_of_one_group(case: Case, most: float) -> None:
    """Of the groups that were cut, one could not have kept a step more; or the target is out of reach."""
    pool, sizes = made(case), case[0]
    found = smallest_cut(pool.counts_without, lambda kept: quadratic(sizes, kept), most)
    assert found.remaining == quadratic(sizes, found.counts)
    assert found.reached == (quadratic(sizes, pool.counts_without(1.0)) <= most)
    if not found.reached:
        assert found.counts == pool.counts_without(1.0)
        return
    assert found.remaining <= most
    steps = [
        (*found.counts[:i], min(size, kept + multiple), *found.counts[i + 1 :])
        for i, (kept, size, multiple) in enumerate(zip(found.counts, sizes, case[1], strict=False))
    ]
    assert any(quadratic(sizes, step) > most for step in steps)


def test_the_channels_of_the_lowest_score_go() -> None:
    found = Pools([np.array([0.5, 2.0, 0.1, 1.4]), np.array([1.5, 0.4, 1.1])], [[0, 1]], [1, 1])
    assert found.counts_without(3 / 7) == (2, 2)
    assert [each.tolist() for each in found.pruned_channels((2, 2))] == [[0, 2], [1]]


def test_rounding_takes_the_nearest_multiple_and_never_none_or_too_many() -> None:
    assert [rounded_count(count, 20, 8) for count in (1, 5, 11, 13, 19, 20)] == [8, 8, 8, 16, 16, 20]
    assert rounded_count(3, 6, 8) == 6


def test_wide_groups_are_rounded_to_eight_by_themselves() -> None:
    net = digits_net()
    groups = channel_groups(net).groups
    ones = [np.ones(len(group.channels)) for group in groups]
    assert list(competing_pools(net, groups, ones, "layer", None).multiples) == [8, 8]
    assert list(competing_pools(net, groups, ones, "layer", 3).multiples) == [3, 3]


def test_groups_that_are_built_alike_compete() -> None:
    """conv1 feeds a convolution, conv2 a Gemm: two structures, two pools."""
    net = digits_net()
    groups = channel_groups(net).groups
    ones = [np.ones(len(group.channels)) for group in groups]
    assert list(competing_pools(net, groups, ones, "isomorphic", None).members) == [[0], [1]]
    assert list(competing_pools(net, groups, ones, "global", None).members) == [[0, 1]]
    twice = [groups[0], groups[1], groups[0]]
    assert list(competing_pools(net, twice, ones, "isomorphic", None).members) == [[0, 2], [1]]


def test_a_measured_cost_is_never_asked_twice_for_the_same_cut() -> None:
    asked: list[ChannelCounts] = []

    def cost(kept: ChannelCounts) -> float:
        asked.append(kept)
        return quadratic([16, 16], kept)

    pool = Pools([np.arange(16.0), np.arange(16.0)], [[0], [1]], [1, 1])
    found = smallest_cut(pool.counts_without, cost, 0.5, exact=False)
    assert found.reached
    assert len(asked) == len(set(asked)) <= 10
