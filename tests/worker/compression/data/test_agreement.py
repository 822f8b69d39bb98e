"""What `POST /v1/jobs` lets through is opened by the worker, and what it refuses is refused for the same reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.facts import model_facts
from tests.support.refusals import refusal
from tests.support.tokenizer import archive, lines, tokenizer
from winnow.contract import fitting
from winnow.contract.data_uses import DataUse
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source

STORED = st.sampled_from(["float16", "float32", "float64", "int32", "int64", "uint8", "bool"])
TAKEN = STORED | st.sampled_from(["string", "bfloat16"])
AXES = st.lists(st.integers(1, 2), max_size=2)
FIRST = st.sampled_from(["N", None, 1, 2, 4])


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 5),
    arrays=st.lists(st.tuples(STORED, AXES), min_size=1, max_size=2),
    inputs=st.lists(st.tuples(TAKEN, st.lists(FIRST, max_size=1), AXES), min_size=2, max_size=2),
    constant=st.none() | st.tuples(st.sampled_from([1, 1.5, True]), TAKEN),
    slice=st.none() | st.tuples(st.integers(0, 4), st.integers(1, 7)),
)
def test_service_and_worker_judge_data_alike(
    rows: int,
    arrays: list[tuple[str, list[int]]],
    inputs: list[tuple[str, list[str | int | None], list[int]]],
    constant: tuple[int | float | bool, str] | None,
    slice: tuple[int, int] | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("data")
    named = {f"x{n}": np.zeros((rows, *axes), dtype) for n, (dtype, axes) in enumerate(arrays)}
    np.savez(folder / "a.npz", **named)  # type: ignore[arg-type]
    declaration = Declaration(constants={} if constant is None else {"c": constant[0]})
    specs = [
        TensorSpec(name=name, dtype=dtype, shape=[*first, *axes])
        for name, (dtype, first, axes) in zip(named, inputs, strict=False)
    ]
    if constant is not None:
        specs.append(TensorSpec(name="c", dtype=constant[1], shape=[]))
    facts = inspect_dataset(folder / "a.npz", declaration, folder / "scratch", max_unpacked_bytes=2**20)
    use, source = DataUse(dataset="d", slice=slice), Source(folder / "a.npz", declaration, slice=slice)
    asked = refusal(lambda: fitting.check_data("data.training", use, model_facts(inputs=specs), facts))
    worked = refusal(lambda: open_samples(source, specs, folder / "scratch"))
    assert (asked and asked.code) == (worked and worked.code)


TEXT = {"inputs": {"input_ids": {"from": "text", "columns": ["s"]}}}
PADDED = {
    "inputs": {"input_ids": {"from": "text", "columns": ["s"], "max_length": 8, "pad_to": "max_length"}}
}
LISTS = {"inputs": {"input_ids": {"array": "r"}, "attention_mask": {"array": "r"}}}
VECTOR = {"inputs": {"input_ids": {"from": "table", "columns": ["n"]}, "attention_mask": {"array": "r"}}}


@pytest.mark.parametrize("length", ["L", 8, 9])
@pytest.mark.parametrize("declared", [TEXT, PADDED, LISTS, VECTOR])
def test_texts_lists_and_tables_are_judged_alike(
    declared: dict[str, Any], length: str | int, tmp_path: Path
) -> None:
    """Where the data leaves a length open that the model fixes, the worker pads, or has the last word."""
    rows = [{"s": "a b", "r": [1, 2], "n": 1}, {"s": "b", "r": [1], "n": 2}]
    path = archive(tmp_path / "a.zip", {"d.jsonl": lines(rows), "tokenizer.json": tokenizer()})
    declaration = Declaration.model_validate(declared)
    specs = [TensorSpec(name=n, dtype="int64", shape=["N", length]) for n in ("input_ids", "attention_mask")]
    facts = inspect_dataset(path, declaration, tmp_path / "scratch", max_unpacked_bytes=2**26)
    asked = refusal(
        lambda: fitting.check_data("data.training", DataUse(dataset="d"), model_facts(inputs=specs), facts)
    )
    worked = refusal(lambda: open_samples(Source(path, declaration), specs, tmp_path / "scratch"))
    assert (asked and asked.code) == (worked and worked.code)
    fits = declared is TEXT or declared is LISTS or (declared is PADDED and length != 9)
    assert (worked is None) == fits


def test_a_carried_state_is_let_through_without_a_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3), np.float32), who=np.zeros(2, np.int64))
    declaration = Declaration.model_validate(
        {"inputs": {"x": {"array": "x"}}, "state": {"next": "state"}, "group": "who"}
    )
    specs = [
        TensorSpec(name="x", dtype="float32", shape=["N", 3]),
        TensorSpec(name="state", dtype="float32", shape=[2, "N", 5], batch_axis=1),
    ]
    facts = inspect_dataset(tmp_path / "a.npz", declaration, tmp_path / "scratch", max_unpacked_bytes=2**26)
    fitting.check_data("data.training", DataUse(dataset="d"), model_facts(inputs=specs), facts)
    states = {"state": np.zeros((2, 2, 5), np.float32)}
    samples = open_samples(
        Source(tmp_path / "a.npz", declaration), specs, tmp_path / "scratch", states=states
    )
    assert len(samples) == 2
