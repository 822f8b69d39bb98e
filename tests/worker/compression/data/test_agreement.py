"""What `POST /v1/jobs` lets through is opened by the worker, and what it refuses is refused for the same reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.facts import model_facts
from tests.support.refusals import refusal
from winnow.contract import fitting
from winnow.contract.data_uses import DataUse
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source

STORED = st.sampled_from(["float16", "float32", "float64", "int32", "int64", "uint8", "bool"])
TAKEN = STORED | st.sampled_from(["string", "bfloat16"])
AXES = st.lists(st.integers(1, 2), max_size=2)
FIRST = st.sampled_from(["N", None, 1, 2, 4])


@settings(max_examples=150, deadline=None)
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
