"""The loop over one graph with a cache: what it is fed with, and when it ends."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.packages import model
from winnow.contract.errors import Refusal
from winnow.contract.generate import Generate
from winnow.contract.generation_plan import plan_of
from winnow.contract.model import PackagedGraph
from worker.compression.generation.loop import Feeds, Loop
from worker.compression.graph.facts.facts import inputs_of, outputs_of
from worker.compression.onnx_files.model_files import load

WORDS = 8


def counter(path: Path) -> Path:
    """A decoder that answers the sum of all tokens that it was ever given, modulo 8: its cache keeps them."""
    ints, floats = TensorProto.INT64, TensorProto.FLOAT
    nodes = [
        helper.make_node("Unsqueeze", ["input_ids", "last"], ["column"]),
        helper.make_node("Cast", ["column"], ["numbers"], to=floats),
        helper.make_node("Concat", ["past_key_values.0.key", "numbers"], ["present.0.key"], axis=1),
        helper.make_node("ReduceSum", ["present.0.key", "along"], ["sum"], keepdims=1),
        helper.make_node("Cast", ["sum"], ["whole"], to=ints),
        helper.make_node("Mod", ["whole", "eight"], ["rest"]),
        helper.make_node("Sub", ["all", "rest"], ["distance"]),
        helper.make_node("Cast", ["distance"], ["real"], to=floats),
        helper.make_node("Abs", ["real"], ["far"]),
        helper.make_node("Neg", ["far"], ["near"]),
        helper.make_node("ReduceSum", ["attention_mask"], ["seen"], keepdims=0),
        helper.make_node("Cast", ["seen"], ["seen_real"], to=floats),
        helper.make_node("Mul", ["seen_real", "zero"], ["nothing"]),
        helper.make_node("Add", ["near", "nothing"], ["logits"]),
    ]
    constants = {
        "last": np.array([2]), "along": np.array([1]), "eight": np.array(8), "zero": np.float32(0),
        "all": np.arange(WORDS).reshape(1, 1, WORDS),
    }  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("input_ids", ints, ["batch", "length"]),
        helper.make_tensor_value_info("attention_mask", ints, ["batch", "total"]),
        helper.make_tensor_value_info("past_key_values.0.key", floats, ["batch", "past", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", floats, ["batch", 1, WORDS]),
        helper.make_tensor_value_info("present.0.key", floats, ["batch", "total", 1]),
    ]
    made = model(nodes, inputs, outputs, {})
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items())
    path.write_bytes(made.SerializeToString())
    return path


def loop(path: Path) -> Loop:
    read = load(path)
    graph = PackagedGraph(
        name="decoder", file="decoder.onnx", opset=17, inputs=inputs_of(read), outputs=outputs_of(read),
        size_bytes=1, layers=0,
    )  # fmt: skip
    asked = Generate(start_token=1, end_token=0, first="decoder", then="decoder")
    return Loop.opened(plan_of(asked, [graph]), {"decoder": path}, 1, 1, "the original")


def test_the_cache_grows_from_nothing_and_the_mask_with_it(tmp_path: Path) -> None:
    fed: list[dict[str, tuple[int, ...]]] = []

    def watch(name: str, feeds: Feeds) -> None:
        fed.append({input: x.shape for input, x in feeds.items()})

    prompt = {"decoder:input_ids": np.array([[1, 2]])}
    assert loop(counter(tmp_path / "decoder.onnx")).tokens(prompt, 4, None, watch) == [3, 6, 4, 0]
    assert [each["past_key_values.0.key"] for each in fed] == [(1, 0, 1), (1, 2, 1), (1, 3, 1), (1, 4, 1)]
    assert [each["attention_mask"] for each in fed] == [(1, 2), (1, 3), (1, 4), (1, 5)]
    assert [each["input_ids"] for each in fed] == [(1, 2), (1, 1), (1, 1), (1, 1)]


def test_an_answer_ends_with_the_end_token_or_when_it_is_long_enough(tmp_path: Path) -> None:
    made, prompt = loop(counter(tmp_path / "decoder.onnx")), {"decoder:input_ids": np.array([[1, 2]])}
    assert made.tokens(prompt, 10, 6) == [3, 6]
    assert made.tokens(prompt, 3, 0) == [3, 6, 4]


def test_scores_follow_the_tokens_that_they_are_told(tmp_path: Path) -> None:
    made, chosen = loop(counter(tmp_path / "decoder.onnx")), list[int]()
    scores = made.scores({"decoder:input_ids": np.array([[1, 2]])}, chosen)
    assert next(scores).argmax() == 3
    chosen.append(7)
    assert next(scores).argmax() == (1 + 2 + 7) % WORDS


def test_a_loop_that_does_not_run_is_refused_with_graph_and_shapes(tmp_path: Path) -> None:
    made = loop(counter(tmp_path / "decoder.onnx"))
    with pytest.raises(Refusal) as caught:
        made.tokens({"decoder:input_ids": np.array([[[1]]])}, 2, None)
    assert caught.value.problem.code == "model_does_not_run"
    assert "'decoder' of the original" in caught.value.problem.detail
    assert "input_ids [1, 1, 1]" in caught.value.problem.detail
