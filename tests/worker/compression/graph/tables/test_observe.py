"""Lookups are counted on all of the data, and what counts places is told from words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lookup_nets import IDS, bert, language_model
from tests.support.small_nets import samples
from tests.support.tokenizer import archive, lines, tokenizer
from winnow.contract.declaration import Declaration
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.tables.find import find_tables
from worker.compression.graph.tables.observe import Lookups, counts_places

SIZES = st.tuples(st.integers(1, 5), st.integers(2, 12))


@given(
    sizes=SIZES,
    start=st.integers(0, 3),
    padding=st.integers(0, 4),
    axes=st.sampled_from([(), (1,)]),
    data=st.data(),
)
def test_positions_count_places_wherever_they_begin_and_end(
    sizes: tuple[int, int], start: int, padding: int, axes: tuple[int, ...], data: st.DataObject
) -> None:
    n, length = sizes
    rows = np.tile(np.arange(start, start + length + padding), (n, 1))
    if length > 2:
        rows[:, length:] = data.draw(st.integers(0, 1))
    assert counts_places(rows.reshape(n, *axes, -1))


@given(sizes=SIZES, turn=st.integers(0, 12))
def test_segments_count_places(sizes: tuple[int, int], turn: int) -> None:
    n, length = sizes
    assert counts_places(np.tile(np.arange(length) >= turn, (n, 1)).astype(np.int64))


@pytest.mark.parametrize("x", [[[101, 2023, 102]], [[0, 1, 2], [0, 5, 9]], [[7], [9]], [[3, 2, 1, 0]]])
def test_words_and_rows_of_one_number_do_not(x: Any) -> None:
    assert not counts_places(np.array(x))


def test_lookups_of_all_data_are_counted(tmp_path: Path) -> None:
    net = bert(before_lookup="ids = Cast <to=6> (input_ids)")
    tables = find_tables(net)
    parts = []
    for number, ids in enumerate(([[3, 9, 9]], [[9, 4, 59]])):
        x = np.array(ids)
        places = np.tile(np.arange(3), (len(x), 1))
        feeds = {"input_ids": x, "position_ids": places, "kind_ids": np.zeros_like(x)}
        parts.append(samples(tmp_path / str(number), net, **feeds))
    counted = Lookups(net, tables).count(parts)
    words = counted.counts[[table.name for table in tables].index("words")]
    assert {int(row): int(words[row]) for row in np.flatnonzero(words)} == {3: 1, 4: 1, 9: 3, 59: 1}
    assert len(words) == IDS
    assert counted.places == {"position_ids", "kind_ids"}


def test_tokens_of_texts_are_counted_and_what_pads_them(tmp_path: Path) -> None:
    """[CLS] a b a [SEP], and [CLS] x [SEP] with two of padding; x is unknown."""
    net = language_model("none")
    rows = lines([{"s": "a b a"}, {"s": "x"}])
    path = archive(tmp_path / "data.zip", {"d.jsonl": rows, "tokenizer.json": tokenizer()})
    declared = Declaration.model_validate({"inputs": {"input_ids": {"from": "text", "columns": ["s"]}}})
    source = Source(path, declared, map={"ids": "input_ids"})
    texts = open_samples(source, inputs_of(net), tmp_path / "scratch")
    counted = Lookups(net, find_tables(net)).count([texts])
    assert counted.counts[0][:6].tolist() == [2, 1, 2, 2, 2, 1]
    assert not counted.places
