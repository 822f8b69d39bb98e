"""Which input is looked up in which table is read off the graph; positions that are computed are no words."""

import numpy as np
import pytest

from tests.support.lookup_nets import IDS, WIDTH, bert, language_model
from tests.support.small_nets import model
from worker.compression.graph.facts.facts import facts
from worker.compression.graph.tables.find import find_tables

WORDS = np.random.default_rng(0).normal(size=(IDS, WIDTH)).astype(np.float32)


def test_each_input_is_known_by_its_table() -> None:
    by_name = {table.name: table.inputs for table in find_tables(bert())}
    assert by_name == {"words": ("input_ids",), "places": ("position_ids",), "kinds": ("kind_ids",)}


@pytest.mark.parametrize(
    "positions",
    [
        "pad = Constant <value_int=1> ()\n e = Equal (ids, pad)\n n = Not (e)\n m = Cast <to=7> (n)\n"
        " axis = Constant <value_int=1> ()\n c = CumSum (m, axis)\n cm = Mul (c, m)\n p = Add (cm, pad)",
        "s = Shape (ids)\n one = Constant <value_int=1> ()\n l = Gather (s, one)\n"
        " zero = Constant <value_int=0> ()\n p = Range (zero, l, one)",
    ],
    ids=["RoBERTa", "BERT"],
)
def test_positions_that_are_computed_are_no_words(positions: str) -> None:
    net = model(
        f"""(int64[N,L] ids) => (float[N,L,{WIDTH}] y) {{
            w = Gather (words, ids)
            {positions}
            q = Gather (places, p)
            y = Add (w, q)
        }}""",
        {"words": WORDS, "places": WORDS[:40] + 1},
    )
    assert {table.name: table.inputs for table in find_tables(net)} == {"words": ("ids",), "places": ()}
    told = facts(net).tables
    assert told is not None
    assert [(each.name, each.rows, each.ids, each.inputs, each.pinned) for each in told] == [
        ("words", IDS, IDS, ["ids"], None)
    ]


def test_rows_that_are_taken_by_several_nodes_are_one_table() -> None:
    net = model(
        f"""(int64[N,L] a, int64[N,L] b) => (float[N,L,{WIDTH}] y) {{
            v = Gather (words, a)
            w = Gather (words, b)
            y = Add (v, w)
        }}""",
        {"words": WORDS},
    )
    (table,) = find_tables(net)
    assert (table.inputs, len(table.gathers), table.pinned) == (("a", "b"), 2, None)


def test_a_table_that_numbers_from_elsewhere_are_looked_up_in_too_is_pinned() -> None:
    net = model(
        f"""(int64[N,L] ids, float[N,L,4] x) => (float[N,L,{WIDTH}] y) {{
            v = Gather (words, ids)
            best = ArgMax <axis=2, keepdims=0> (x)
            w = Gather (words, best)
            y = Add (v, w)
        }}""",
        {"words": WORDS},
    )
    (table,) = find_tables(net)
    assert table.pinned == "numbers that no input has are looked up in it too"


@pytest.mark.parametrize(("head", "products"), [("tied", 1), ("gemm", 1), ("copy", 0), ("none", 0)])
def test_products_that_read_the_table_are_its_heads(head: str, products: int) -> None:
    (table,) = find_tables(language_model(head))  # type: ignore[arg-type]
    assert (len(table.products), table.read_otherwise) == (products, None)
