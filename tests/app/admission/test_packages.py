"""What a package can have done to it is let through; what works on one graph is refused by name."""

from typing import Any

import pytest

from tests.support.admission import DISTIL, DYNAMIC, HALF, QAT, STATIC, TUNE, outcome, refused
from tests.support.facts import array, dataset_facts, model_facts, tensor
from winnow.contract.dataset import DatasetFacts, DatasetInput
from winnow.contract.model import Layer, ModelFacts, PackagedGraph


def graph(name: str) -> PackagedGraph:
    return PackagedGraph(
        name=name, file=f"{name}.onnx", opset=18, inputs=[], outputs=[], size_bytes=1, layers=1
    )


def package(*inputs: Any) -> ModelFacts:
    """encoder and decoder, a layer each."""
    layers = [
        Layer(name="encoder:/proj", op="MatMul", weight=[8, 8], macs=64),
        Layer(name="decoder:/proj", op="MatMul", weight=[8, 8], macs=64),
    ]
    return model_facts(
        graphs=[graph("encoder"), graph("decoder")],
        layers=layers,
        inputs=[*inputs] or [tensor("encoder:x", "batch", 8), tensor("decoder:x", "batch", 8)],
        operators={"MatMul": 2},
    )


@pytest.mark.parametrize(
    "step",
    [
        DYNAMIC,
        HALF,
        {"kind": "weight_only"},
        {"kind": "palette"},
        {"kind": "simplify"},
        {"kind": "sparsity", "criterion": "magnitude"},
        {**DYNAMIC, "exclude": ["decoder:*"]},
        {**DYNAMIC, "exclude": ["*:/proj", "encoder:/proj"][1:]},
    ],
)
def test_what_rounds_and_simplifies_is_let_through(step: dict[str, Any]) -> None:
    assert outcome(step, model=package()) is None


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (TUNE, "trains"),
        (DISTIL, "trains"),
        (QAT, "trains"),
        ({"kind": "channel_pruning", "amount": 0.5}, "shapes"),
        ({"kind": "depth_pruning", "amount": 0.5}, "shapes"),
        ({"kind": "low_rank"}, "shapes"),
        ({"kind": "vocabulary_pruning"}, "shapes"),
        ({"kind": "student", "depth": 0.5}, "smaller network"),
        ({"kind": "sparsity", "criterion": "taylor"}, "gradients"),
        ({"kind": "mixed_precision", "min_snr_db": 20, "sensitivity": "hessian"}, "gradients"),
    ],
)
def test_what_works_on_one_graph_is_refused_with_the_graphs_and_what_to_do(
    step: dict[str, Any], says: str
) -> None:
    problem = outcome(DYNAMIC, step, model=package())
    assert problem is not None
    assert (problem.code, problem.field) == ("one_graph_needed", "recipe.steps.1.kind")
    assert "2 graphs (encoder, decoder)" in problem.detail
    assert says in problem.detail
    assert "int8_dynamic" in problem.detail


def test_a_pattern_that_names_no_graph_matches_nothing() -> None:
    step = {**DYNAMIC, "exclude": ["middle:*"]}
    assert refused(step, model=package()) == ("pattern_matches_nothing", "recipe.steps.0.exclude.0")


def test_explain_and_a_teacher_that_is_a_package_are_refused() -> None:
    assert refused(DYNAMIC, model=package(), explain=True) == ("one_graph_needed", "explain")
    taught = {**DISTIL, "teacher": "t"}
    assert refused(taught, others={"t": package()}) == ("one_graph_needed", "recipe.steps.0.teacher")


INTS = {"dtype": "int64"}
IDS, MASK = (tensor(f"encoder:{name}", "batch", "s", **INTS) for name in ("input_ids", "attention_mask"))
GENERATE: dict[str, Any] = {
    "start_token": 0, "end_token": 1, "first": "decoder", "then": "decoder",
    "feeds": {"encoder.h": "decoder.encoder_hidden_states"},
}  # fmt: skip


def generating() -> ModelFacts:
    own = [it.model_copy(update={"name": it.name.removeprefix("encoder:")}) for it in (IDS, MASK)]
    states = tensor("encoder_hidden_states", "batch", "s", 8)
    graphs = [
        graph("encoder").model_copy(update={"inputs": own, "outputs": [tensor("h", "batch", "s", 8)]}),
        graph("decoder").model_copy(
            update={"inputs": [own[0], states], "outputs": [tensor("logits", "batch", "s", 9)]}
        ),
    ]
    inputs = [IDS, MASK, *(it.model_copy(update={"name": f"decoder:{it.name}"}) for it in graphs[1].inputs)]
    return package(*inputs).model_copy(update={"graphs": graphs})


def prompts() -> DatasetFacts:
    inputs = {it.name: DatasetInput(dtype="int64", shape=[7], array="ids") for it in (IDS, MASK)}
    return dataset_facts(inputs=inputs, arrays={"ids": array("int64", 64, 7, high=9)}, samples=64)


def test_data_of_a_loop_is_for_what_no_graph_feeds() -> None:
    facts: dict[str, Any] = {"model": generating(), "dataset": prompts()}
    assert outcome(STATIC, data={"dataset": "d"}, generate=GENERATE, **facts) is None
    assert outcome(DYNAMIC, data={"evaluation": {"dataset": "d"}}, generate=GENERATE, **facts) is None
    assert refused(STATIC, data={"dataset": "d"}, **facts)[0] == "inputs_do_not_fit"
    wrong = {**GENERATE, "feeds": {"encoder.states": "decoder.encoder_hidden_states"}}
    assert refused(STATIC, data={"dataset": "d"}, generate=wrong, **facts) == (
        "unknown_output",
        "generate.feeds.encoder.states",
    )


def test_a_loop_needs_data_and_a_package_and_no_evaluation() -> None:
    model, data = generating(), {"evaluation": {"dataset": "d"}}
    assert refused(DYNAMIC, model=model, generate=GENERATE) == ("missing_data", "data.evaluation")
    assert refused(DYNAMIC, generate=GENERATE) == ("invalid_request", "generate")
    more: dict[str, Any] = {"model": model, "dataset": prompts(), "data": data, "generate": GENERATE}
    assert refused(DYNAMIC, evaluation={"metric": "top1"}, **more) == ("invalid_request", "evaluation")
    assert refused(DYNAMIC, target="openvino-cpu", **more) == ("invalid_request", "target")


def test_sizes_that_are_open_need_not_be_said_of_a_package() -> None:
    past = tensor("decoder:past", "batch", 4, "_decoder__past", 16)
    assert outcome(DYNAMIC, model=package(past)) is None
    assert refused(DYNAMIC, model=model_facts(inputs=[past]))[0] == "shape_needed"
    assert refused(STATIC, model=package(past))[0] == "missing_data"
