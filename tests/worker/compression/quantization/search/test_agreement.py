"""Where equal answers are required, candidates are judged by them, with labels and without."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.small_nets import digits_net, digits_samples, run
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Requirements
from worker.compression.quantization.search.acceptance import acceptance_rule
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality


@pytest.mark.parametrize("evaluation", [Evaluation(task="classification"), Evaluation(metric="top1")])
def test_agreement_is_the_lower_bound_of_the_share_of_equal_answers(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    net, other = digits_net(), digits_net()
    weight = other.graph.initializers["w2"].const_value
    assert weight is not None
    noise = np.random.default_rng(0).normal(0, 0.02, weight.numpy().shape).astype(np.float32)
    other.graph.initializers["w2"].const_value = ir.tensor(weight.numpy() + noise)
    data = digits_samples(tmp_path).take(400)
    found = OutputComparer(net, data, tmp_path, evaluation, agrees=True)(other)
    feed = {"image": np.concatenate([feed["image"] for feed in data.batches(100)])}
    same = (run(net, feed).argmax(1) == run(other, feed).argmax(1)).mean()
    assert 0.5 < same < 1
    deviation = (same * (1 - same) / 400) ** 0.5
    assert found.agreement == pytest.approx(same - 1.96 * deviation, abs=deviation / 2)
    assert OutputComparer(net, data, tmp_path, evaluation)(other).agreement is None


def test_it_is_asked_of_candidates_in_place_of_what_counts_as_harmless() -> None:
    accepts, words = acceptance_rule(Requirements(min_agreement=0.97), labelled=False)
    assert words == "agreement ≥ 0.97"
    assert accepts(OutputQuality(5.0, 0.9, agreement=0.98))
    assert not accepts(OutputQuality(50.0, 1.0, agreement=0.96))
    assert not accepts(OutputQuality(50.0, 1.0))
