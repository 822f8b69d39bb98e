"""Variational Bayesian matrix factorisation finds the rank behind the noise."""

import numpy as np
import pytest

from worker.compression.low_rank.vbmf import vbmf_rank


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (64, 64)])
@pytest.mark.parametrize("rank", [1, 5, 12])
@pytest.mark.parametrize("noise", [0.01, 0.3])
def test_the_rank_of_a_noisy_product_is_found(shape: tuple[int, int], rank: int, noise: float) -> None:
    rng = np.random.default_rng(rank)
    signal = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
    assert vbmf_rank(signal + noise * rng.normal(size=shape)) == rank


def test_what_is_weaker_than_the_noise_is_not_found() -> None:
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(60, 2)), rng.normal(size=(2, 90))
    matrix = u @ np.diag([1, 0.02]) @ v + 0.3 * rng.normal(size=(60, 90))
    assert vbmf_rank(matrix) == 1


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_has_no_rank(seed: int) -> None:
    assert vbmf_rank(np.random.default_rng(seed).normal(size=(50, 80))) == 0


def test_matrices_without_noise_or_with_one_row_give_an_answer() -> None:
    assert vbmf_rank(np.zeros((4, 5))) == 0
    assert 0 <= vbmf_rank(np.ones((1, 9))) <= 1
    assert vbmf_rank(np.outer(np.arange(1.0, 30), np.arange(1.0, 50))) == 1


def test_sizes_whose_squares_float32_lacks_have_a_rank() -> None:
    matrix = np.outer(np.arange(1.0, 30), np.arange(1.0, 50)) * 1e28
    assert vbmf_rank(matrix.astype(np.float32)) == 1
