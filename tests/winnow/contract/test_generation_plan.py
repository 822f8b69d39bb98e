"""What goes into which input of a loop, from names and from what a job says."""

from typing import Any

import pytest

from tests.support.facts import tensor
from winnow.contract.errors import Refusal
from winnow.contract.generate import Generate
from winnow.contract.generation_plan import GenerationPlan, plan_of
from winnow.contract.model import PackagedGraph, TensorSpec

IDS = tensor("input_ids", "batch", "length", dtype="int64")
CACHE = [f"0.{who}.{what}" for who in ("decoder", "encoder") for what in ("key", "value")]


def graph(name: str, inputs: list[TensorSpec], *outputs: str) -> PackagedGraph:
    made = [tensor(output, "batch", "length") for output in outputs]
    return PackagedGraph(
        name=name, file=f"{name}.onnx", opset=17, inputs=inputs, outputs=made, size_bytes=1, layers=1
    )


MASK = tensor("attention_mask", "batch", "length", dtype="int64")
ENCODER_MASK = tensor("encoder_attention_mask", "batch", "length", dtype="int64")
PASTS = [tensor(f"past_key_values.{cache}", "batch", 4, "past", 16) for cache in CACHE]
ENCODER = graph("encoder", [IDS, MASK], "last_hidden_state")
DECODER = graph(
    "decoder",
    [IDS, tensor("encoder_hidden_states", "batch", "length", 8), ENCODER_MASK],
    "logits",
    *(f"present.{cache}" for cache in CACHE),
)
THEN = graph(
    "decoder.with_past",
    [IDS, ENCODER_MASK, *PASTS],
    "logits",
    *(f"present.{cache}" for cache in CACHE if "decoder" in cache),
)
GRAPHS = [DECODER, THEN, ENCODER]
FEEDS = {"encoder.last_hidden_state": "decoder.encoder_hidden_states"}


def asked(**changes: Any) -> Generate:
    base = {"start_token": 1, "end_token": 2, "first": "decoder", "then": "decoder.with_past", "feeds": FEEDS}
    return Generate.model_validate({**base, **changes})


def plan(graphs: list[PackagedGraph] = GRAPHS, **changes: Any) -> GenerationPlan:
    return plan_of(asked(**changes), graphs)


def refused(graphs: list[PackagedGraph] = GRAPHS, **changes: Any) -> tuple[str, str | None, str]:
    with pytest.raises(Refusal) as caught:
        plan(graphs, **changes)
    problem = caught.value.problem
    return problem.code, problem.field, problem.detail


def kinds(made: GenerationPlan, which: str) -> list[tuple[str, str, str]]:
    return [(feed.spec.name, feed.kind, feed.source) for feed in getattr(made, which).feeds]


def test_an_encoder_runs_once_and_its_mask_goes_to_both_decoders() -> None:
    made = plan()
    assert [each.name for each in made.before] == ["encoder"]
    assert made.roots == ["encoder:input_ids", "encoder:attention_mask"]
    assert kinds(made, "first") == [
        ("input_ids", "token", ""),
        ("encoder_hidden_states", "value", "encoder:last_hidden_state"),
        ("encoder_attention_mask", "data", "encoder:attention_mask"),
    ]
    assert kinds(made, "then")[2:] == [(f"past_key_values.{cache}", "past", cache) for cache in CACHE]
    assert not made.prompted
    assert made.logits == ("logits", "logits")


def test_one_graph_with_a_cache_is_given_the_prompt_of_the_data() -> None:
    decoder = graph(
        "decoder",
        [IDS, MASK, tensor("position_ids", "batch", "length", dtype="int64"), *PASTS[:2]],
        "logits",
        *(f"present.{cache}" for cache in CACHE[:2]),
    )
    made = plan([decoder], first="decoder", then="decoder", feeds={})
    assert made.prompted
    assert made.roots == ["decoder:input_ids"]
    assert [feed.kind for feed in made.then.feeds] == ["token", "mask", "positions", "past", "past"]


def test_an_output_may_go_into_several_inputs() -> None:
    wide = graph("wide", [IDS, ENCODER_MASK, DECODER.inputs[1], *PASTS], "logits")
    into = ["decoder.encoder_hidden_states", "wide.encoder_hidden_states"]
    made = plan([DECODER, wide, ENCODER], then="wide", feeds={"encoder.last_hidden_state": into})
    assert ("encoder_hidden_states", "value", "encoder:last_hidden_state") in kinds(made, "then")


@pytest.mark.parametrize(
    ("changes", "code", "field", "says"),
    [
        ({"first": "decodr"}, "invalid_request", "generate.first", "'decodr'; it has 'decoder'"),
        ({"then": "x"}, "invalid_request", "generate.then", "'x'"),
        ({"feeds": {"encoder.hidden": "decoder.encoder_hidden_states"}}, "unknown_output",
         "generate.feeds.encoder.hidden", "'hidden'; it has 'last_hidden_state'"),
        ({"feeds": {"encoder.last_hidden_state": "decoder.states"}}, "unknown_input",
         "generate.feeds.encoder.last_hidden_state", "'states'; it has 'input_ids'"),
        ({"feeds": {"vision.x": "decoder.input_ids"}}, "invalid_request", "generate.feeds.vision.x", "'vision'"),
        ({"feeds": {}}, "invalid_request", "generate.feeds", "'encoder' has no part in the loop"),
        ({"feeds": {**FEEDS, "decoder.logits": "decoder.encoder_hidden_states"}}, "invalid_request",
         "generate.feeds.decoder.logits", "Two outputs"),
    ],
)  # fmt: skip
def test_what_the_package_has_not_is_refused_with_names(
    changes: dict[str, Any], code: str, field: str, says: str
) -> None:
    told = refused(**changes)
    assert told[:2] == (code, field)
    assert says in told[2]


def test_all_faults_are_told_together() -> None:
    with pytest.raises(Refusal) as caught:
        plan(first="a", then="b")
    assert {each.path for each in caught.value.errors} == {"generate.first", "generate.then"}


def test_a_cache_that_nothing_makes_is_refused_with_its_name() -> None:
    mute = graph("decoder", DECODER.inputs, "logits", "present.0.decoder.key")
    code, field, detail = refused([mute, THEN, ENCODER])
    assert (code, field) == ("invalid_request", "generate.then")
    assert "'past_key_values.0.encoder.key'" in detail


def test_a_graph_without_tokens_cannot_be_in_the_loop() -> None:
    deaf = graph("decoder", DECODER.inputs[1:], "logits")
    assert refused([deaf, THEN, ENCODER])[1] == "generate.first"
