"""depth_pruning takes the blocks that are missed least, until its target is reached, and says what it did."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support.clocks import by_parameters
from tests.support.residual_nets import WIDTH, Style, residual_net
from tests.support.small_nets import model, samples
from winnow.contract.errors import Refusal
from winnow.contract.recipe import DepthPruning
from worker.compression.apply import check
from worker.compression.depth_pruning.depth_pruning import depth_pruning
from worker.compression.graph.blocks import find
from worker.compression.graph.facts.facts import facts
from worker.compression.progress import Silent
from worker.compression.steps import remaining_cost
from worker.compression.steps.context import Context, StepResult

CRITERIA = get_args(DepthPruning.model_fields["criterion"].annotation)
ROWS = np.random.default_rng(2).standard_normal((32, WIDTH)).astype(np.float32)
FEW = [1.0, 1e-3, 1.0, 2e-3]
"""How much each block adds: the second is missed least, the last next."""


def asked(**settings: Any) -> DepthPruning:
    step: DepthPruning = TypeAdapter(DepthPruning).validate_python({"kind": "depth_pruning", **settings})
    return step


def done(net: ir.Model, folder: Path, **settings: Any) -> StepResult:
    (scratch := folder / "step").mkdir()
    rows = samples(folder / "data", net, x=ROWS)
    context = Context(scratch, 0, Silent(), rows, curves=scratch / "curves", training=lambda _: rows)
    return depth_pruning(net, asked(**settings), context)


def removed(result: StepResult) -> set[str]:
    return {row["block"] for row in result.details["blocks"] if row["removed"]}


@pytest.mark.parametrize("style", ["pre", "activated"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_each_criterion_takes_what_is_missed_least(tmp_path: Path, style: Style, criterion: str) -> None:
    result = done(residual_net(style, FEW), tmp_path, criterion=criterion, amount=0.5)
    assert removed(result) == {"join1", "join3"}
    assert (result.changed, result.candidates) == (2, 4)
    (target,) = result.targets
    assert (target.name, target.measured, target.met) == ("depth_pruning.blocks", 0.5, True)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_block_that_does_nothing_scores_nothing(tmp_path: Path, criterion: str) -> None:
    result = done(residual_net("plain", [1, 0, 1]), tmp_path, criterion=criterion, amount=0.3)
    (row,) = (row for row in result.details["blocks"] if row["removed"])
    assert row["block"] == "join1"
    assert row["score"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("target", "amount", "gone"), [("parameters", 0.3, 2), ("macs", 0.5, 3), ("blocks", 0.01, 1)]
)
def test_as_much_goes_as_was_asked_for_and_no_block_more(
    tmp_path: Path, target: str, amount: float, gone: int
) -> None:
    """The stem and the head have a fifth of what there is; each of four blocks another."""
    result = done(residual_net("plain", [1.0] * 4), tmp_path, target=target, amount=amount)
    assert len(removed(result)) == gone
    if target != "blocks":
        before, after = result.details[target]
        assert after <= (1 - amount) * before < after + before / 5 + 1


def test_a_time_that_cannot_be_told_gives_way_to_the_multiply_accumulates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untold(*_: object, **__: object) -> float:
        raise remaining_cost.TimeNotMeasurable("the machine was busy")

    monkeypatch.setattr(remaining_cost, "_timed", lambda *_: untold)
    result = done(residual_net("plain", [1.0] * 4), tmp_path, target="latency", amount=0.3)
    assert len(removed(result)) == 2
    assert "The multiply-accumulates decided in its place." in result.notes[0]
    assert not result.targets[0].met


@pytest.mark.parametrize("criterion", CRITERIA)
def test_what_went_by_time_goes_again_by_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, criterion: str
) -> None:
    monkeypatch.setattr(remaining_cost, "_timed", by_parameters)
    settings = {"target": "latency", "amount": 0.5, "criterion": criterion, "rounds": 2}
    for name in ("timed", "again"):
        (tmp_path / name).mkdir()
    timed = done(residual_net("plain", [1.0, 1e-3, 0.5, 2e-3]), tmp_path / "timed", **settings)
    monkeypatch.undo()
    assert 0 < len(removed(timed)) < 4
    more = timed.details["as_settings"]
    again = done(residual_net("plain", [1.0, 1e-3, 0.5, 2e-3]), tmp_path / "again", **settings | more)
    assert removed(again) == removed(timed)
    assert again.targets[0].met


def test_excluded_blocks_stay(tmp_path: Path) -> None:
    result = done(residual_net("plain", FEW), tmp_path, amount=0.5, exclude=["up1", "join3"])
    assert len(removed(result)) == 1
    assert removed(result) < {"join0", "join2"}
    pinned = {row["block"] for row in result.details["blocks"] if row["pinned"] == "excluded"}
    assert pinned == {"join1", "join3"}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_blocks_of_the_input_itself_are_judged_and_the_last_one_is_not_told_as_gone(
    tmp_path: Path, criterion: str
) -> None:
    square = np.eye(WIDTH, dtype=np.float32)
    text = f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{
        [a] f = MatMul (x, w)
        [first] s = Add (x, f)
        [b] g = MatMul (s, w)
        [last] y = Add (s, g)
    }}"""
    result = done(model(text, {"w": square}), tmp_path, criterion=criterion, amount=0.9)
    assert len(removed(result)) == 1
    assert (result.targets[0].measured, result.targets[0].met) == (0.5, False)


def test_a_layer_that_is_excluded_does_not_go_with_the_last_block_that_reads_it(tmp_path: Path) -> None:
    square = np.eye(WIDTH, dtype=np.float32)
    text = f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y) {{
        [stem] s = MatMul (x, w)
        [keys] k = MatMul (x, v)
        [a] f = MatMul (s, w)
        [fk] fk = Mul (f, k)
        [first] t = Add (s, fk)
        [b] g = MatMul (t, w)
        [gk] gk = Mul (g, k)
        [last] u = Add (t, gk)
        [head] y = MatMul (u, w)
    }}"""
    result = done(model(text, {"w": square, "v": 2 * square}), tmp_path, amount=0.9, exclude=["keys"])
    assert len(removed(result)) == 1
    assert "keys" in [node.name for node in result.model.graph]


def test_in_a_graph_too_large_to_follow_no_blocks_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    net = residual_net("plain", FEW)
    assert facts(net).blocks
    monkeypatch.setattr(find, "MAX_NODES", 3)
    assert facts(net).blocks is None
    with pytest.raises(Refusal, match="19 nodes"):
        check(net, [asked()], lambda _: net)


def test_between_rounds_what_is_left_is_trained(tmp_path: Path) -> None:
    recovery = {"kind": "distillation", "steps": 2, "batch_size": 8, "validation": 0, "learning_rate": 0.01}
    net = residual_net("plain", FEW)
    whole = net.clone()
    (scratch := tmp_path / "step").mkdir()
    rows = samples(tmp_path / "data", net, x=ROWS)
    context = Context(
        scratch, 0, Silent(), rows, curves=scratch / "curves", training=lambda _: rows, model=lambda _: whole
    )
    result = depth_pruning(net, asked(amount=0.75, rounds=2, recovery=recovery), context)
    assert [row["round"] for row in result.details["blocks"]].count(1) == 2
    first = result.model.graph.initializers["first"].const_value
    assert first is not None
    assert not np.array_equal(first.numpy(), whole.graph.initializers["first"].const_value.numpy())


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (
            {"target": "parameters", "amount": 0.9},
            "invalid_request",
            "the 4 residual blocks that can go have 80.0%",
        ),
        ({"exclude": ["join*"]}, "nothing_to_compress", "leaves none of the 4 residual blocks"),
    ],
)
def test_what_cannot_be_reached_is_refused_before_any_work(
    settings: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        check(residual_net("plain", FEW), [asked(**settings)], lambda _: residual_net("plain", []))
    assert refused.value.problem.code == code
    assert said in (refused.value.problem.detail or "")


def test_without_residual_blocks_there_is_nothing_to_take() -> None:
    with pytest.raises(Refusal, match="no residual blocks"):
        check(residual_net("plain", []), [asked()], lambda _: residual_net("plain", []))
