"""What inspection learns of a dataset."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from winnow.contract.dataset import DatasetFacts
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from worker.compression.data.inspection import column_facts
from worker.compression.data.inspection.inspect import inspect_dataset


def inspected(folder: Path, declaration: dict[str, Any] | None = None) -> DatasetFacts:
    asked = Declaration.model_validate(declaration or {})
    return inspect_dataset(folder / "a.npz", asked, folder / "scratch", max_unpacked_bytes=1 << 30)


def refused(folder: Path, declaration: dict[str, Any] | None = None) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        inspected(folder, declaration)
    return caught.value.problem.code, caught.value.problem.detail


@settings(max_examples=40, deadline=None)
@given(
    array=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=9),
        elements=st.floats(width=32) | st.just(float("nan")),
    ),
    fortran=st.booleans(),
)
def test_range_and_finiteness_are_those_of_the_array(
    array: Any, fortran: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "a.npz", x=np.asfortranarray(array) if fortran else array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_facts, "CHUNK", 7)
        facts = inspected(folder).arrays["x"]
    finite = array[np.isfinite(array)]
    assert facts.finite == (finite.size == array.size)
    assert (facts.min, facts.max) == ((finite.min(), finite.max()) if finite.size else (None, None))
    if not facts.finite:
        assert facts.first_not_finite is not None
        assert not np.isfinite(array[tuple(facts.first_not_finite)])


def test_inputs_are_told_as_the_declaration_makes_them(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        image=np.zeros((6, 8, 9, 3), np.uint8),
        mfcc=np.zeros((6, 4)),
        y=np.arange(6),
        names=np.array(["cat", "dog"]),
    )
    facts = inspected(
        tmp_path,
        {
            "inputs": {
                "picture": {"array": "image", "layout": "NHWC->NCHW", "scale": 1 / 255, "mean": [0.5] * 3},
                "sound": {"array": "mfcc", "add_axis": 1},
            },
            "constants": {"sr": 16000},
            "targets": {"array": "y"},
        },
    )
    assert (facts.samples, facts.target) == (6, "y")
    told = {name: (made.dtype, made.shape, made.array) for name, made in facts.inputs.items()}
    assert told == {
        "picture": ("float32", [3, 8, 9], "image"),
        "sound": ("float64", [1, 4], "mfcc"),
        "sr": ("int64", [], None),
    }
    assert facts.arrays["y"].max == 5
    assert facts.arrays["names"].min is None


def test_memory_does_not_grow_with_the_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((16 << 20, 1), np.float64))
    tracemalloc.start()
    inspected(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20  # of 128 MiB


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ({"inputs": {"a": {"array": "nothing"}}}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "image", "layout": "NHWC->NCHW", "mean": [0.1, 0.2]}}}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "image", "std": [0.1, 0.2]}}}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "y", "layout": "NHWC->NCHW"}}}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "image", "add_axis": 0}}}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "image", "add_axis": 9}}}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "names"}}}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "image"}, "b": {"array": "short"}}}, "invalid_declaration"),
        ({}, "invalid_declaration"),
        ({"inputs": {"a": {"array": "image"}}, "targets": {"array": "short"}}, "labels_do_not_fit"),
        ({"inputs": {"a": {"array": "none"}}}, "invalid_dataset"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(declaration: dict[str, Any], code: str, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        image=np.zeros((6, 8, 9, 3), np.uint8),
        y=np.arange(6),
        short=np.zeros(5),
        none=np.zeros((0, 3)),
        names=np.array(["cat"] * 6),
    )
    got, detail = refused(tmp_path, declaration)
    assert got == code
    assert detail.endswith(".")


def test_a_missing_array_is_answered_with_what_is_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.zeros((2, 2)))
    assert "'x_train'" in refused(tmp_path, {"inputs": {"a": {"array": "x"}}})[1]
