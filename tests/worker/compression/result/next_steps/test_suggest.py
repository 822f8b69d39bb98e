"""What is suggested can be sent: admission takes every suggestion for a job that it took."""

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.admission.check import check
from tests.support.facts import dataset_facts, model_facts, tensor
from tests.support.refusals import refusal
from winnow.contract.job import JobRequest
from winnow.contract.model import Layer, ModelFacts
from winnow.contract.recipe import Recipe
from worker.compression.result.next_steps.situation import Missed, Situation
from worker.compression.result.next_steps.suggest import MOST, suggestions

EXCLUDES = st.sampled_from([[], ["*conv*"], ["/layer0/*"]])
AMOUNT = st.sampled_from([0.001, 0.3, 0.5, 0.95])
TRAINING = {"kind": st.sampled_from(["finetune", "distillation", "quantization_aware_training"])}


def step(kind: str, **choices: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"kind": st.just(kind)}, optional=choices)


STEPS = st.one_of(
    step("int8", exclude=EXCLUDES),
    step(
        "int8_static",
        exclude=st.one_of(EXCLUDES, st.just("auto")),
        weight_bits=st.sampled_from([4, 8]),
        calibration=st.sampled_from(["minmax", "mse"]),
    ),
    step("int8_dynamic", exclude=EXCLUDES),
    step("mixed_precision", exclude=EXCLUDES).map(lambda step: step | {"max_size_ratio": 0.5}),
    step(
        "weight_only",
        bits=st.sampled_from([8, 4, 3, 2]),
        exclude=EXCLUDES,
        layers=st.sampled_from(["all", "products"]),
    ),
    step("palette", colors=st.sampled_from([2, 16, 200, 256]), exclude=EXCLUDES),
    step("binary", exclude=EXCLUDES, layers=st.sampled_from(["all", "products"])),
    step("float16", exclude=EXCLUDES),
    step("bfloat16"),
    step("channel_pruning", amount=AMOUNT, exclude=EXCLUDES, target=st.sampled_from(["macs", "latency"])),
    step("low_rank", amount=AMOUNT, rank=st.sampled_from(["macs", "energy"])),
    step("sparsity", structure=st.sampled_from(["2:4", "block"])),
    step("sparsity", sparsity=AMOUNT, criterion=st.just("magnitude")),
    st.fixed_dictionaries(TRAINING, optional={"epochs": st.sampled_from([1, 90_000]), "steps": st.just(5)}),
    st.just({"kind": "distillation", "student": "s"}),
)
OPERATORS = st.lists(
    st.sampled_from(["Conv", "Gemm", "MatMul", "Gather", "LSTM", "ConvTranspose"]), min_size=1, max_size=3
)
ROLES = st.sets(st.sampled_from(["calibration", "training", "evaluation"]))


@st.composite
def models(draw: st.DrawFn) -> ModelFacts:
    operators = draw(OPERATORS)
    quantized = draw(st.booleans())
    names = [f"/layer{place}/{operator.lower()}" for place, operator in enumerate(operators)]
    layers = [
        Layer(name=name, op=operator, weight=[10, 8], macs=1)
        for name, operator in zip(names, operators, strict=True)
    ]
    nodes = dict(Counter(operators)) | ({"QuantizeLinear": 1, "DequantizeLinear": 1} if quantized else {})
    output = tensor("logits", "N", 10, dtype=draw(st.sampled_from(["float32", "float32", "int64"])))
    return model_facts(layers=layers, operators=nodes, quantized=quantized, outputs=[output])


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(
    models(),
    st.lists(STEPS, min_size=1, max_size=3),
    ROLES,
    st.booleans(),
    st.sets(st.sampled_from(["quality", "speed", "size", "memory"]), min_size=1),
    st.booleans(),
)
def test_every_suggestion_for_a_job_that_was_admitted_is_admitted(
    model: ModelFacts,
    steps: list[dict[str, Any]],
    roles: set[Any],
    whole: bool,
    missed: set[Missed],
    exact: bool,
) -> None:
    data = {"dataset": "d"} if whole else {role: {"dataset": "d"} for role in roles}
    request = JobRequest.model_validate({"model": "m", "recipe": {"steps": steps}, "data": data})
    facts = {"d": dataset_facts()}
    others = {"s": model_facts()}
    assume(refusal(lambda: check(request, model, facts, others)) is None)
    situation = Situation(
        recipe=request.recipe,
        missed=frozenset(missed),
        data=frozenset({"calibration", "training", "evaluation"} if whole else roles),
        operators=frozenset(layer.op for layer in model.layers),
        quantized=model.quantized,
        trainable=model.outputs[0].dtype == "float32",
        exact=exact,
    )
    made = suggestions(situation)
    assert len(made) <= MOST
    for each in made:
        assert each.recipe != request.recipe
        problem = refusal(
            lambda recipe=each.recipe: check(
                request.model_copy(update={"recipe": recipe}), model, facts, others
            )
        )
        assert problem is None, (each, problem)
    assert all(a.recipe != b.recipe for a, b in itertools.combinations(made, 2))


def situation_of(*steps: dict[str, Any], missed: Missed, **changes: Any) -> Situation:
    base: dict[str, Any] = {
        "recipe": Recipe.model_validate({"steps": list(steps)}),
        "missed": frozenset({missed}),
        "data": frozenset({"calibration", "training", "evaluation"}),
        "operators": frozenset({"Conv", "Gemm"}),
        "quantized": False,
        "trainable": True,
        "exact": True,
    }
    return Situation(**base | changes)


def kinds(now: Situation) -> list[list[str]]:
    return [[step.kind for step in each.recipe.steps] for each in suggestions(now)]


def test_integers_that_lost_quality_are_left_out_where_they_cost_most_then_trained() -> None:
    now = situation_of({"kind": "int8_static"}, missed="quality")
    assert kinds(now) == [["int8_static"], ["int8_static", "quantization_aware_training"], ["int8_static"]]
    (first, *_) = suggestions(now)
    assert first.recipe.steps[0].model_dump()["exclude"] == "auto"


@pytest.mark.parametrize("missed", ["speed", "size", "memory", "quality"])
def test_of_a_package_nothing_is_cut_or_trained(missed: Missed) -> None:
    for step in ({"kind": "int8_static"}, {"kind": "weight_only"}, {"kind": "sparsity"}):
        tried = kinds(situation_of(step, missed=missed, one_graph=False))
        assert all({*steps} <= {"int8", "int8_static", "weight_only", "sparsity"} for steps in tried)
    assert kinds(situation_of({"kind": "weight_only"}, missed="memory", one_graph=False)) == []
    assert kinds(situation_of({"kind": "weight_only"}, missed="memory"))


def test_without_data_to_train_on_nothing_is_trained() -> None:
    now = situation_of({"kind": "int8_static"}, missed="quality", data=frozenset({"calibration"}))
    assert kinds(now) == [["int8_static"], ["int8_static"]]


def test_a_cut_that_cost_too_much_is_trained_after_or_made_smaller() -> None:
    now = situation_of({"kind": "channel_pruning", "amount": 0.5}, missed="quality")
    assert kinds(now) == [["channel_pruning", "distillation"], ["channel_pruning"]]
    assert suggestions(now)[1].recipe.steps[0].model_dump()["amount"] == 0.3


def test_what_only_stores_less_is_followed_by_what_computes_less() -> None:
    assert kinds(situation_of({"kind": "sparsity"}, missed="speed")) == [
        ["int8"],
        ["channel_pruning", "distillation", "sparsity"],
    ]


def test_without_vnni_a_cut_comes_before_integers() -> None:
    slow = situation_of({"kind": "sparsity"}, missed="speed", exact=False)
    assert kinds(slow) == [["channel_pruning", "distillation", "sparsity"], ["int8"]]
