"""Choices for tables, and tokens that a model has no row for."""

import numpy as np

from tests.support.facts import model_facts, tensor
from winnow.contract.declaration import TableInput
from winnow.contract.model import Layer
from worker.compression.data.table import Table
from worker.compression.proposal.choices.words import table_choices, tokens_beyond

COLUMNS = {name: np.arange(8, dtype=np.float32) for name in ("height", "width", "age")}
TABLE = Table({**COLUMNS, "label": np.arange(8) % 2})


def test_columns_of_numbers_besides_the_labels_are_a_vector() -> None:
    (choice,) = table_choices(tensor("x", "N", 3), TABLE)
    assert choice.how == TableInput(source="table", columns=["height", "width", "age"])
    assert choice.reasons[0].sure


def test_a_model_of_open_width_leaves_the_columns_a_guess() -> None:
    (choice,) = table_choices(tensor("x", "N", "F"), TABLE)
    assert not choice.reasons[0].sure


def test_another_number_of_columns_is_no_vector() -> None:
    assert table_choices(tensor("x", "N", 4), TABLE) == []


def test_a_token_beyond_the_largest_table_is_noted() -> None:
    words = Layer(name="emb", op="Gather", weight=[30, 4], macs=0, table="emb.weight")
    places = Layer(name="pos", op="Gather", weight=[9, 4], macs=0, table="pos.weight")
    model = model_facts(layers=[words, places])
    assert tokens_beyond(model, "input_ids", 29) is None
    note = tokens_beyond(model, "input_ids", 30)
    assert note is not None
    assert "gets the number 30, but the largest table of the model has 30 rows" in note
