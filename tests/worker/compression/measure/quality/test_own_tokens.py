"""A language model without labels is judged by the tokens that it reads, as torch's cross-entropy judges it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.support.refusals import refusal
from tests.support.tokenizer import tokenizer
from tests.worker.compression.data.inputs.test_text import opened, spec
from winnow.contract.evaluation import Evaluation
from worker.compression.data.samples import Samples
from worker.compression.measure.network import Network
from worker.compression.measure.quality.judgement import judgement_of
from worker.compression.measure.quality.quality import measure_quality

VOCABULARY = 6
TABLE = (3 * np.random.default_rng(0).normal(size=(VOCABULARY, VOCABULARY))).astype(np.float32)
TEXTS = [{"s": text, "y": 0} for text in ("a", "a b a", "x b b a x", "b b", "a x a b a b x")]
IDS = {"a": 4, "b": 5, "x": 1}


def bigrams(folder: Path, inputs: list[str]) -> Network:
    """A model that knows of each token what follows it."""
    made = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["N", "L"]) for name in inputs]
    logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", "L", VOCABULARY])
    nodes = [onnx.helper.make_node("Gather", ["table", inputs[0]], ["logits"])]
    graph = onnx.helper.make_graph(
        nodes, "bigrams", made, [logits], [onnx.numpy_helper.from_array(TABLE, "table")]
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "bigrams.onnx")
    return Network(folder / "bigrams.onnx", 1, "the model")


def by_torch(shift: int = 1) -> float:
    """The perplexity of each text alone, without any padding."""
    losses, tokens = 0.0, 0
    for row in TEXTS:
        ids = torch.tensor([2, *(IDS[word] for word in str(row["s"]).split()), 3])
        logits = torch.tensor(TABLE, dtype=torch.float64)[ids]
        losses += float(torch.nn.functional.cross_entropy(logits[:-shift], ids[shift:], reduction="sum"))
        tokens += len(ids) - shift
    return float(np.exp(losses / tokens))


def perplexity(network: Network, samples: Samples, **more: Any) -> float:
    evaluation = Evaluation.model_validate({"task": "language", "metric": "perplexity", **more})
    entries, _, _ = measure_quality(
        network, network, samples, evaluation, held_out=True, seed=0, tick=lambda _: None
    )
    return entries[0].after


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("inputs", [["input_ids"], ["input_ids", "attention_mask"]])
@pytest.mark.parametrize("pad_to", ["longest", 16])
def test_perplexity_without_labels_is_torchs_whatever_is_padded(
    inputs: list[str], left: bool, pad_to: Any, tmp_path: Path
) -> None:
    samples = opened(
        tmp_path, {"pad_to": pad_to}, [*map(spec, inputs)], rows=TEXTS, file=tokenizer(left=left)
    )
    samples = replace(samples, targets=None)
    assert perplexity(bigrams(tmp_path, inputs), samples) == pytest.approx(by_torch(), rel=1e-6)


def test_a_declared_shift_is_how_far_ahead_the_judged_token_is(tmp_path: Path) -> None:
    samples = replace(opened(tmp_path, {}, [spec("input_ids")], rows=TEXTS), targets=None)
    decode = {"kind": "argmax", "shift": 2}
    measured = perplexity(bigrams(tmp_path, ["input_ids"]), samples, decode=decode)
    assert measured == pytest.approx(by_torch(2), rel=1e-6)


def test_of_two_inputs_that_may_be_the_tokens_none_is_taken(tmp_path: Path) -> None:
    declared = {
        "inputs": {name: {"from": "text", "columns": ["s"], "part": "input_ids"} for name in ("p", "q")}
    }
    names = [spec("p"), spec("q")]
    samples = replace(opened(tmp_path, {}, names, rows=TEXTS, declaration=declared), targets=None)
    evaluation = Evaluation.model_validate({"metric": "perplexity"})
    problem = refusal(lambda: judgement_of(evaluation, bigrams(tmp_path, ["p", "q"]), samples))
    assert problem is not None
    assert problem.code == "missing_data"
