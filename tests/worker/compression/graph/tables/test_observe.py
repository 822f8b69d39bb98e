"""Lookups are counted on all of the data."""

from pathlib import Path

import numpy as np

from tests.support.lookup_nets import IDS, bert, language_model
from tests.support.small_nets import samples
from tests.support.tokenizer import archive, lines, tokenizer
from winnow.contract.declaration import Declaration
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.tables.find import find_tables
from worker.compression.graph.tables.observe import Lookups


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
