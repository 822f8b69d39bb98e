"""One dataset in three parts: disjoint, in the right shares, the same for the same seed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.facts import tensor
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.split import PARTS, DataSplit, rows_of
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Data, Source
from worker.compression.data.split import halve_evaluation, sentence, split_data


def opened(
    folder: Path, batch: int | str, declaration: dict[str, Any], **arrays: Any
) -> tuple[Source, Samples]:
    np.savez(folder / "d.npz", **arrays)
    source = Source(folder / "d.npz", Declaration.model_validate(declaration))
    return source, open_samples(source, [tensor("x", batch, 2)], folder)


def parts(data: Data) -> dict[str, set[int]]:
    assert data.split is not None
    return {part: set(rows_of(data.split, part)) for part in PARTS}


def shared(data: Data, **roles: str) -> None:
    """The sources have the rows that the record says."""
    assert data.split is not None
    for role, part in roles.items():
        source = getattr(data, role)
        assert source.chosen.numbers.tolist() == rows_of(data.split, part)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=4, max_size=90), seed=st.integers(0, 99))
def test_parts_are_disjoint_complete_and_have_each_class_in_its_share(
    labels: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of n rows of a class half are in training and a quarter in each other part, up to one row."""
    folder = tmp_path_factory.mktemp("d")
    n = len(labels)
    source, samples = opened(folder, "N", {}, x=np.zeros((n, 2), np.float32), labels=np.array(labels))
    data = split_data(source, samples, seed)
    rows = parts(data)
    assert sorted(row for part in rows.values() for row in part) == list(range(n))
    assert not rows["unused"]
    assert data.split is not None
    assert data.split.stratified
    shared(data, calibration="training", training="training", selection="selection", evaluation="final")
    for label in set(labels):
        of_class = {row for row, own in enumerate(labels) if own == label}
        for part, share in (("training", 0.5), ("selection", 0.25), ("final", 0.25)):
            assert abs(len(rows[part] & of_class) - share * len(of_class)) <= 1


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    source, samples = opened(tmp_path, "N", {}, x=np.zeros((50, 2), np.float32))
    first, again, other = (split_data(source, samples, seed) for seed in (1, 1, 2))
    assert first == again
    assert parts(first) != parts(other)


def test_whole_batches_are_all_that_a_model_of_a_fixed_batch_gets(tmp_path: Path) -> None:
    source, samples = opened(tmp_path, 4, {}, x=np.zeros((30, 2), np.float32))
    data = split_data(source, samples, 0)
    assert data.split is not None
    assert data.split.counts == {"training": 12, "selection": 4, "final": 4, "unused": 10}


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=12, max_size=40), seed=st.integers(0, 9))
def test_groups_stay_together(sizes: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The shares are met up to one group."""
    who = np.repeat(np.arange(len(sizes)), sizes)
    who = who[np.random.default_rng(seed).permutation(len(who))]
    folder = tmp_path_factory.mktemp("d")
    declaration = {"inputs": {"x": {"array": "x"}}, "group": "who"}
    source, samples = opened(folder, "N", declaration, x=np.zeros((len(who), 2), np.float32), who=who)
    data = split_data(source, samples, seed)
    rows = parts(data)
    assert data.split is not None
    assert data.split.groups == len(sizes)
    for part, share in (("training", 0.5), ("selection", 0.25), ("final", 0.25)):
        own = set(who[sorted(rows[part])].tolist())
        others = set(who[sorted(set(range(len(who))) - rows[part])].tolist())
        assert not own & others
        assert abs(len(rows[part]) - share * len(who)) <= max(sizes)


@pytest.mark.parametrize(
    ("batch", "rows", "says"),
    [
        ("N", 3, "has 3 samples; to be split into half, a quarter and a quarter it needs 4"),
        (8, 31, "it needs 32"),
    ],
)
def test_too_few_samples_are_refused(tmp_path: Path, batch: int | str, rows: int, says: str) -> None:
    source, samples = opened(tmp_path, batch, {}, x=np.zeros((rows, 2), np.float32))
    with pytest.raises(Refusal, match=says) as refused:
        split_data(source, samples, 0)
    assert refused.value.problem.code == "too_few_samples"


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    declaration = {"inputs": {"x": {"array": "x"}}, "group": "who"}
    who = np.repeat([0, 1], 20)
    source, samples = opened(tmp_path, "N", declaration, x=np.zeros((40, 2), np.float32), who=who)
    with pytest.raises(Refusal, match="Of 2 groups the part 'final' gets 0 samples"):
        split_data(source, samples, 0)


def test_a_group_that_is_no_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="'y' is no column") as refused:
        opened(tmp_path, "N", {"group": "y"}, x=np.zeros((40, 2), np.float32))
    assert refused.value.problem.field == "declaration.group"


def test_a_sentence_says_how_it_was_split(tmp_path: Path) -> None:
    source, samples = opened(tmp_path, "N", {}, x=np.zeros((8, 2), np.float32), labels=np.arange(8) % 2)
    data = split_data(source, samples, 3)
    assert data.split is not None
    assert sentence(data.split) == (
        "The dataset of 8 samples was split by seed 3, each class in the same shares: 4 calibrate and train, 2 are "
        "there to choose by, 2 judge."
    )


def test_a_record_survives_json(tmp_path: Path) -> None:
    source, samples = opened(tmp_path, "N", {}, x=np.zeros((9, 2), np.float32))
    data = split_data(source, samples, 0)
    assert data.split is not None
    again = DataSplit.model_validate_json(data.split.model_dump_json())
    read: Callable[[DataSplit], list[list[int]]] = lambda split: [rows_of(split, part) for part in PARTS]  # noqa: E731
    assert read(again) == read(data.split)


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=4, max_size=60), seed=st.integers(0, 99))
def test_evaluation_data_is_halved_within_its_slice(
    labels: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of n rows of a class each half has n/2, up to one row; what lies outside the slice is unused."""
    folder, n = tmp_path_factory.mktemp("d"), len(labels)
    source, _ = opened(folder, "N", {}, x=np.zeros((n, 2), np.float32), labels=np.array(labels))
    source = replace(source, slice=(1, n))
    samples = open_samples(source, [tensor("x", "N", 2)], folder)
    data = halve_evaluation(Data(evaluation=source), source, samples, seed)
    rows = parts(data)
    shared(data, selection="selection", evaluation="final")
    assert rows["unused"] == {0}
    assert not rows["training"]
    assert rows["selection"] | rows["final"] == set(range(1, n))
    for label in set(labels):
        of_class = {row for row in range(1, n) if labels[row] == label}
        assert abs(len(rows["final"] & of_class) - len(of_class) / 2) <= 1


def test_one_row_cannot_be_halved(tmp_path: Path) -> None:
    source, samples = opened(tmp_path, "N", {}, x=np.zeros((1, 2), np.float32))
    with pytest.raises(Refusal, match="part 'final' gets 0 samples") as refused:
        halve_evaluation(Data(evaluation=source), source, samples, 0)
    assert refused.value.problem.field == "data.evaluation"
