"""What a channel is worth, on weights made by hand: exact."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.small_nets import model, samples
from winnow.contract.errors import Refusal
from winnow.contract.recipe import ChannelPruning
from worker.compression.channel_pruning import criteria_norms
from worker.compression.channel_pruning.channel_slices import Initializers
from worker.compression.channel_pruning.criteria_activation import activation_energies
from worker.compression.channel_pruning.criteria_gradients import gradient_scores
from worker.compression.channel_pruning.scores import score_channels
from worker.compression.graph.channels import channel_groups

W1 = [[1.0, -2.0], [3.0, 4.0], [0.0, 0.5]]
"""Three channels that read two inputs."""
BIAS = [0.5, -1.0, 0.0]


def gemms() -> ir.Model:
    """x[N,2] → Gemm → Relu → Gemm → y[N,2]"""
    weights = {"w1": W1, "b1": BIAS, "w2": [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]]}
    arrays = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    return model(
        """(float[N,2] x) => (float[N,2] y) {
            [first] h = Gemm <transB=1> (x, w1, b1)
            [relu] r = Relu (h)
            [second] y = Gemm <transB=1> (r, w2)
        }""",
        arrays,
    )


def normed() -> ir.Model:
    """x[N,1,2,2] → Conv → BatchNormalization → Conv → y"""
    rng = np.random.default_rng(0)
    weights = {
        "k1": rng.normal(size=(4, 1, 1, 1)),
        "k2": rng.normal(size=(2, 4, 1, 1)),
        "gamma": [3.0, -1.0, 0.5, 2.0],
        "beta": np.ones(4),
        "mean": np.zeros(4),
        "var": np.ones(4),
    }
    arrays = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    return model(
        """(float[N,1,2,2] x) => (float[N,2,2,2] y) {
            [first] c = Conv (x, k1)
            [norm] n = BatchNormalization (c, gamma, beta, mean, var)
            [second] y = Conv (n, k2)
        }""",
        arrays,
    )


def only_group(net: ir.Model) -> Any:
    (group,) = channel_groups(net).groups
    return group


def test_norms_are_those_of_the_filters_without_biases() -> None:
    net = gemms()
    stored, group = Initializers(net), only_group(net)
    assert criteria_norms.l1(stored, group).tolist() == [3.0, 7.0, 0.5]
    assert criteria_norms.l2(stored, group).tolist() == [np.sqrt(5), 5.0, 0.5]


def test_fpgm_is_the_sum_of_the_distances_to_all_filters() -> None:
    net = gemms()
    w = np.array(W1)
    expected = [sum(np.linalg.norm(a - b) for b in w) for a in w]
    np.testing.assert_allclose(criteria_norms.fpgm(Initializers(net), only_group(net)), expected, rtol=1e-12)


def test_batchnorm_scale_is_the_size_of_gamma() -> None:
    net = normed()
    found = criteria_norms.batchnorm_scale(net, Initializers(net), only_group(net))
    assert found is not None
    assert found.tolist() == [3.0, 1.0, 0.5, 2.0]
    net = gemms()
    assert criteria_norms.batchnorm_scale(net, Initializers(net), only_group(net)) is None


def test_activation_is_the_mean_square_behind_the_activation_function(tmp_path: Path) -> None:
    """float32 in ONNX Runtime: a relative difference of 1e-6 at most."""
    net, x = gemms(), np.random.default_rng(1).normal(size=(70, 2)).astype(np.float32)
    (found,) = activation_energies(
        net, channel_groups(net).groups, samples(tmp_path, net, x=x), lambda _: None
    )
    expected = (np.maximum(x @ np.array(W1).T + BIAS, 0) ** 2).mean(0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["taylor", "fisher"])
def test_gradient_criteria_follow_their_formulas(tmp_path: Path, kind: Any) -> None:
    """Cross-entropy with the labels, gradients by hand, one batch of 8: a relative difference of 1e-4 at most."""
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(8, 2)).astype(np.float32), rng.integers(0, 2, 8)
    net = gemms()
    (found,) = gradient_scores(
        net, channel_groups(net).groups, kind, samples(tmp_path, net, x=x, labels=labels), lambda _: None
    )
    w1, b1, w2 = np.array(W1), np.array(BIAS), np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]])
    h = x @ w1.T + b1
    y = np.maximum(h, 0) @ w2.T
    p = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    dh = ((p - np.eye(2)[labels]) / 8) @ w2 * (h > 0)
    products = np.column_stack([(dh.T @ x) * w1, dh.sum(0) * b1])
    expected = products.sum(1) ** 2 if kind == "taylor" else 0.5 * (products**2).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-10)


def test_taylor_needs_no_labels_and_no_classes(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(16, 1, 2, 2)).astype(np.float32)
    net = normed()
    (found,) = gradient_scores(
        net, channel_groups(net).groups, "taylor", samples(tmp_path, net, x=x), lambda _: None
    )
    assert (found > 0).all()


def asked(criterion: str) -> ChannelPruning:
    return ChannelPruning.model_validate({"kind": "channel_pruning", "criterion": criterion})


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm", "random"])
def test_scores_have_mean_one_in_each_group(criterion: str) -> None:
    net = gemms()
    found = score_channels(net, channel_groups(net).groups, asked(criterion), None, 0, lambda _: None)
    assert found.values[0].mean() == pytest.approx(1, rel=1e-12)
    assert found.judged_by_l2 == []


def test_random_scores_follow_from_the_seed() -> None:
    net = gemms()
    once, again, other = (
        score_channels(net, channel_groups(net).groups, asked("random"), None, seed, lambda _: None).values[0]
        for seed in (4, 4, 5)
    )
    assert once.tolist() == again.tolist()
    assert once.tolist() != other.tolist()


def test_a_criterion_without_anything_to_read_is_refused_with_advice() -> None:
    net = gemms()
    with pytest.raises(Refusal) as caught:
        score_channels(net, channel_groups(net).groups, asked("batchnorm_scale"), None, 0, lambda _: None)
    assert caught.value.problem.code == "nothing_to_compress"
    assert "Use l2" in caught.value.problem.detail
