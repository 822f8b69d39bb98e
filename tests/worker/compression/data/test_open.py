"""From archive and declaration to feeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source

IMAGE = TensorSpec(name="x", dtype="float32", shape=["N", 3, 4, 5])


def spec(name: str, dtype: str, *shape: int | str | None) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=list(shape))


def opened(
    folder: Path, inputs: list[TensorSpec], declaration: dict[str, Any] | None = None, **source: Any
) -> Samples:
    asked = Declaration.model_validate(declaration or {})
    return open_samples(Source(folder / "a.npz", asked, **source), inputs, folder / "scratch")


def refused(*args: Any, **kwargs: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        opened(*args, **kwargs)
    return caught.value.problem.code, caught.value.problem.detail


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 9),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    channels=st.integers(1, 4),
    scale=st.none() | st.floats(1e-3, 10),
    seed=st.integers(0, 2**16),
    moments=st.booleans(),
    compressed=st.booleans(),
)
def test_preprocessing_is_the_formula(
    rows: int, height: int, width: int, channels: int, scale: float | None, seed: int,
    moments: bool, compressed: bool, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (rows, height, width, channels), np.uint8)
    mean, std = rng.normal(size=channels), rng.uniform(0.1, 2, channels)
    (np.savez_compressed if compressed else np.savez)(folder / "a.npz", images=images)
    how: dict[str, Any] = {"array": "images", "layout": "NHWC->NCHW", "scale": scale}
    if moments:
        how |= {"mean": mean.tolist(), "std": std.tolist()}
    samples = opened(folder, [spec("x", "float32", None, channels, height, width)], {"inputs": {"x": how}})
    expected = images.transpose(0, 3, 1, 2) * (1 if scale is None else scale)
    if moments:
        expected = (expected - mean[:, None, None]) / std[:, None, None]
    got = np.concatenate([feeds["x"] for feeds in samples.batches(4)])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 40), size=st.integers(1, 50), n=st.integers(1, 50), seed=st.integers(0, 99))
def test_batches_are_the_whole_and_draws_are_its_rows_in_order(
    rows: int, size: int, n: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "a.npz", x=np.arange(rows, dtype=np.float32)[:, None], labels=np.arange(rows))
    samples = opened(folder, [spec("x", "float32", "N", 1)])
    feeds = [batch["x"] for batch in samples.batches(size)]
    assert all(len(x) == size for x in feeds[:-1])
    np.testing.assert_array_equal(np.concatenate(feeds)[:, 0], np.arange(rows))
    drawn = samples.draw(n, seed)
    assert len(drawn) == min(n, rows)
    assert drawn.labels is not None
    assert (np.diff(drawn.labels) > 0).all()
    np.testing.assert_array_equal(np.concatenate([b["x"] for b in drawn.batches(size)])[:, 0], drawn.labels)
    np.testing.assert_array_equal(drawn.labels, samples.draw(n, seed).labels)  # type: ignore[arg-type]


def test_draws_differ_by_seed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((1000, 1), np.float32), labels=np.arange(1000))
    samples = opened(tmp_path, [spec("x", "float32", "N", 1)])
    assert samples.draw(100, 0).labels.tolist() != samples.draw(100, 1).labels.tolist()  # type: ignore[union-attr]


def test_batches_are_made_one_at_a_time(tmp_path: Path) -> None:
    x = np.zeros((10, 1), np.float32)
    x[9] = np.nan
    np.savez(tmp_path / "a.npz", x=x)
    batches = iter(opened(tmp_path, [spec("x", "float32", "N", 1)]).batches(5))
    next(batches)
    with pytest.raises(Refusal, match=r"'x'.*\[9, 0\]"):
        next(batches)


def test_slices_take_their_rows_and_end_within_the_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((10, 2), np.float32), labels=np.arange(10))
    samples = opened(tmp_path, [spec("x", "float32", "N", 2)], slice=(4, 10))
    assert samples.labels is not None
    assert samples.labels.tolist() == [4, 5, 6, 7, 8, 9]
    assert samples.take(2).labels.tolist() == [4, 5]  # type: ignore[union-attr]
    assert refused(tmp_path, [spec("x", "float32", "N", 2)], slice=(10, 20))[0] == "empty_slice"
    assert refused(tmp_path, [spec("x", "float32", "N", 2)], slice=(4, 400))[0] == "slice_beyond_data"


def test_a_fixed_batch_is_kept_and_a_remainder_left_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((10, 2), np.float32))
    samples = opened(tmp_path, [spec("x", "float32", 4, 2)])
    assert (samples.fixed_batch, len(samples)) == (4, 8)
    assert [b["x"].shape for b in samples.batches(64)] == [(4, 2), (4, 2)]
    assert len(samples.draw(7, 0)) == 4
    assert refused(tmp_path, [spec("x", "float32", 16, 2)])[0] == "empty_slice"


def test_a_row_can_be_the_whole_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", state=np.ones((3, 2, 1, 8), np.float32), x=np.ones((3, 5), np.float32))
    inputs = [spec("x", "float32", "batch", 5), spec("state", "float32", 2, "batch", 8)]
    samples = opened(tmp_path, inputs)
    shapes = [{name: x.shape for name, x in feeds.items()} for feeds in samples.batches(32)]
    assert shapes == [{"x": (1, 5), "state": (2, 1, 8)}] * 3


def test_constants_follow_the_other_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", sound=np.zeros((5, 7), np.float32))
    inputs = [
        spec("audio", "float32", "B", "T"),
        spec("sr", "int64"),
        spec("state", "float32", 2, "B", 3),
        spec("mask", "bool", None, None, "T"),
    ]
    declaration = {
        "inputs": {"sound": {"array": "sound"}},
        "constants": {"sr": 16000, "zero": 0, "mask": True},
    }
    samples = opened(tmp_path, inputs, declaration, map={"audio": "sound", "state": "zero"})
    first, last = samples.batches(3)
    assert samples.names == ["audio", "sr", "state", "mask"]
    assert first["sr"].dtype == np.int64
    assert first["sr"] == 16000
    assert first["state"].shape == (2, 3, 3)
    assert last["state"].shape == (2, 2, 3)
    assert first["mask"].shape == (3, 1, 7)
    assert first["mask"].all()


def test_without_a_declaration_labels_are_the_target_and_the_rest_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros((3, 2)), b=np.zeros((3, 1), np.uint8), labels=np.array([2, 1, 0]))
    samples = opened(tmp_path, [spec("a", "float32", "N", 2), spec("b", "int64", "N", 1)])
    (feeds,) = samples.batches(10)
    assert {name: x.dtype.name for name, x in feeds.items()} == {"a": "float32", "b": "int64"}
    assert samples.labels is not None
    assert samples.labels.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.zeros((2, 3, 4, 6), np.float32), IMAGE),
        (np.zeros((2, 3, 4), np.float32), IMAGE),
        (np.zeros((2, 5), np.float32), spec("x", "int64", "N", 5)),
        (np.zeros((2, 5), np.float32), spec("x", "string", "N", 5)),
        (np.zeros((2, 5), np.float32), spec("other", "float32", "N", 5)),
    ],
)
def test_inputs_that_do_not_fit_are_named_with_both_sides(
    array: Any, wanted: TensorSpec, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", x=array)
    code, detail = refused(tmp_path, [wanted])
    assert code == "inputs_do_not_fit"
    assert repr(wanted.name) in detail
    assert wanted.dtype in detail


def test_integers_that_would_wrap_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([[1], [300]]))
    samples = opened(tmp_path, [spec("x", "uint8", "N", 1)])
    with pytest.raises(Refusal, match="inputs_do_not_fit"):
        list(samples.batches(2))


def test_labels_of_another_length_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2), np.float32), labels=np.zeros(4))
    assert refused(tmp_path, [spec("x", "float32", "N", 2)])[0] == "labels_do_not_fit"


def test_arrays_that_are_not_there_and_inputs_the_model_lacks_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2), np.float32))
    wanted = [spec("x", "float32", "N", 2)]
    code, detail = refused(tmp_path, wanted, {"inputs": {"x": {"array": "y"}}})
    assert (code, "'x'" in detail) == ("invalid_declaration", True)
    assert refused(tmp_path, wanted, map={"z": "x"})[0] == "unknown_input"


def test_numbers_too_large_for_float32_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([[1.0], [1e300]]))
    samples = opened(tmp_path, [spec("x", "float32", "N", 1)])
    with pytest.raises(Refusal, match=r"not_finite.*\[1, 0\]"):
        list(samples.batches(2))
