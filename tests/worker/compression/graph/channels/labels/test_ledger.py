"""Classes are the connected components of all pairs, and the first reason that pins one is told."""

import numpy as np

from worker.compression.graph.channels.labels.ledger import Ledger, components


def test_components_of_random_pairs_are_those_of_a_walk() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        count = int(rng.integers(2, 200))
        first, second = rng.integers(0, count, (2, int(rng.integers(0, 200))))
        found = components(count, first, second)
        assert found.tolist() == _walked(count, list(zip(first.tolist(), second.tolist(), strict=True)))


def test_a_long_chain_in_any_order_is_one_class() -> None:
    order = np.random.default_rng(1).permutation(10_000)
    assert set(components(10_000, order[:-1], order[1:]).tolist()) == {0}


def test_the_first_reason_pins_the_whole_class() -> None:
    ledger = Ledger()
    a, b = ledger.fresh(3), ledger.fresh(3)
    ledger.unite(a, b)
    ledger.pin(b[1:], "first")
    ledger.pin(a[2:], "second")
    why = ledger.reason_of_labels(ledger.classes())
    assert why.tolist() == [-1, 0, 0, -1, 0, 0]
    assert ledger.reasons[why[1]] == "first"


def _walked(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    root = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            root[a] = root[b] = min(root[a], root[b])
    return root
