import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.contract.report import Parity
from worker.compression.measure.quality.parity import MAX_FLOAT32, OutputDifference, is_broken


def parity(*batches: tuple[np.ndarray, np.ndarray]) -> Parity:
    moved = OutputDifference("y")
    for before, after in batches:
        moved.add(before, after, len(before))
    return moved.result(sum(len(before) for before, _ in batches), "random")


@settings(deadline=None)
@given(st.integers(0, 999), st.sampled_from(["float32", "float16", "float64"]))
def test_the_same_outputs_have_not_moved(seed: int, dtype: str) -> None:
    x = np.random.default_rng(seed).normal(size=(5, 8)).astype(dtype)
    told = parity((x, x.copy()))
    assert (told.max_error, told.mean_error, told.max_relative_error, told.snr_db) == (0, 0, 0, None)
    assert told.cosine == pytest.approx(1, abs=1e-12)
    assert told.top1_agreement == 1


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(1, 9))
def test_batches_do_not_matter(seed: int, cut: int) -> None:
    x, y = np.random.default_rng(seed).normal(size=(2, 10, 6)).astype(np.float32)
    whole, parts = parity((x, y)), parity((x[:cut], y[:cut]), (x[cut:], y[cut:]))
    for name in ("cosine", "snr_db", "max_error", "mean_error", "max_relative_error", "top1_agreement"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-9)


def test_known_values() -> None:
    told = parity((np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([[4.0, 3.0], [0.0, 1.0]])))
    assert told.cosine == pytest.approx((24 / 25 + 1) / 2)
    assert told.snr_db == pytest.approx(10 * np.log10(29 / 3))
    assert (told.max_error, told.mean_error, told.max_relative_error) == (1, 0.75, 0.25)
    assert told.top1_agreement == 0.5


def test_an_output_of_almost_zero_has_no_cosine() -> None:
    x = np.full((4, 3), 1e-9)
    told = parity((x, -x))
    assert told.cosine is None
    assert told.max_error == pytest.approx(2e-9)


def test_one_number_per_sample_is_compared_over_all_samples() -> None:
    """Sample by sample its cosine would be 1 whatever it is."""
    told = parity((np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])))
    assert told.cosine == pytest.approx(1 / np.sqrt(2))


def figures(told: Parity) -> list[float | None]:
    return [
        told.cosine,
        told.snr_db,
        told.max_error,
        told.mean_error,
        told.max_relative_error,
        told.top1_agreement,
    ]


def test_nan_in_every_sample_of_the_original_leaves_nothing_to_compare() -> None:
    """A column of NaN, as a weight with NaN gives: the other columns are no comfort."""
    x = np.random.default_rng(0).normal(size=(4, 3))
    x[:, 1] = np.nan
    for y in (x.copy(), x + 0.01, np.nan_to_num(x)):
        assert figures(parity((x, y))) == [None] * 6


def test_samples_with_nan_in_the_original_are_left_out() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 6, 5))
    rest = parity((x[2:], y[2:]))
    x[:2, 3] = np.nan
    told = parity((x, y))
    assert figures(told) == pytest.approx(figures(rest))


def test_an_infinity_that_both_have_is_left_out_and_one_that_is_lost_breaks_the_output() -> None:
    """Minus infinity masks what may not be chosen: another number there is no small error."""
    x = np.array([[1.0, -np.inf, 3.0], [2.0, 1.0, -np.inf]])
    same = parity((x, x.copy()))
    assert (same.cosine, same.max_error, same.top1_agreement) == (pytest.approx(1), 0, 1)
    assert figures(parity((np.full((2, 3), -np.inf), np.full((2, 3), -np.inf)))) == [None] * 6
    for lost in (np.where(np.isinf(x), 5.0, x), -x, np.where(np.isinf(x), np.nan, x)):
        assert is_broken(parity((x, lost)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_value_that_is_not_finite_any_more_breaks_the_output(bad: float) -> None:
    x = np.random.default_rng(2).normal(size=(100, 3))
    y = x.copy()
    y[7, 1] = bad
    told = parity((x, y))
    assert is_broken(told)
    assert not is_broken(parity((x, x + 1)))
    assert (told.cosine, told.max_error) == (0, MAX_FLOAT32)
    assert told.top1_agreement == (1 if x[7].argmax() == y[7].argmax() and not np.isnan(bad) else 0.99)
    assert np.isfinite([told.mean_error, told.max_relative_error, told.snr_db]).all()
    assert told.snr_db < -500  # type: ignore[operator]


def test_the_largest_error_of_finite_values_breaks_nothing() -> None:
    """Masks are often filled with the least float32: it is a number, and so is what takes its place."""
    x = np.array([[-MAX_FLOAT32, 1.0, 2.0]])
    told = parity((x, np.abs(x)))
    assert not is_broken(told)
    assert told.max_error == pytest.approx(MAX_FLOAT32)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_have_errors_only(dtype: str) -> None:
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    told = parity((x, np.ones_like(x)))
    assert (told.cosine, told.snr_db, told.top1_agreement) == (None, None, None)
    assert (told.max_error, told.mean_error) == (1, 0.5)


def test_outputs_of_another_shape_are_not_compared() -> None:
    moved = OutputDifference("boxes")
    moved.add(np.zeros((3, 4)), np.zeros((2, 4)), 1)
    assert moved.other_shape == "[3, 4] became [2, 4]"
