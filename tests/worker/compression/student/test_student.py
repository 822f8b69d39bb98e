"""A student is the network without what was left out, and runs."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support import graphs
from tests.support.clocks import by_parameters
from tests.support.refusals import refusal
from tests.support.residual_nets import WIDTH, residual_net
from tests.support.small_nets import samples
from tests.support.small_transformer import small_transformer
from winnow.contract.recipe import Student
from worker.compression.apply import check
from worker.compression.graph.blocks.find import residual_blocks
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.progress import Silent
from worker.compression.runtime.session import open_cpu_session
from worker.compression.steps import remaining_cost
from worker.compression.steps.context import Context, StepResult
from worker.compression.student.student import student

ROWS = np.random.default_rng(2).standard_normal((16, WIDTH)).astype(np.float32)


def asked(**settings: Any) -> Student:
    step: Student = TypeAdapter(Student).validate_python({"kind": "student", **settings})
    return step


def done(net: ir.Model, folder: Path, *, data: bool = False, seed: int = 0, **settings: Any) -> StepResult:
    (scratch := folder / f"step-{len(list(folder.iterdir()))}").mkdir()
    rows = samples(scratch / "data", net, x=ROWS) if data else None
    return student(net, asked(**settings), Context(scratch, seed, Silent(), rows))


def stored(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString(deterministic=True)


def answer(model: ir.Model, x: np.ndarray) -> np.ndarray:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return np.asarray(open_cpu_session(proto.SerializeToString(), threads=1).run(None, {"x": x})[0])


@pytest.mark.parametrize("net", [residual_net("post", [1, 1]), small_transformer(2)])
def test_of_depth_1_and_width_1_it_is_the_upload_bit_for_bit(net: ir.Model, tmp_path: Path) -> None:
    before = stored(net)
    result = done(net, tmp_path, width=1, depth=1)
    assert stored(result.model) == before
    assert (result.changed, result.targets) == (0, [])


@pytest.mark.parametrize(
    ("depth", "removed"), [(0.5, [1, 3, 5]), (1 / 3, [1, 2, 4, 5]), (1 / 6, [1, 2, 3, 4, 5])]
)
@pytest.mark.parametrize("pre", [False, True])
def test_whole_layers_go_evenly_spaced(depth: float, removed: list[int], pre: bool, tmp_path: Path) -> None:
    result = done(small_transformer(6, pre=pre), tmp_path, depth=depth)
    joins = [f"Add_{kind}{i}" for i in removed for kind in ("joined", "fed")]
    sums = joins if pre else [name.replace("Add_", "Add_sum_") for name in joins]
    assert result.details["removed_blocks"] == sums
    assert answer(result.model, np.ones((2, 3, 8), np.float32)).shape == (2, 8)


def test_what_stays_has_its_weights(tmp_path: Path) -> None:
    net = small_transformer(2)
    made = done(net, tmp_path, depth=0.5).model
    assert {name for name in made.graph.initializers if name.startswith("w")} == {"wq0", "wk0", "wv0", "wo0"}
    for name, value in made.graph.initializers.items():
        assert np.array_equal(value.const_value.numpy(), net.graph.initializers[name].const_value.numpy())  # type: ignore[union-attr]


def test_a_width_leaves_its_share_of_every_group(tmp_path: Path) -> None:
    made = done(small_transformer(2, inner=4), tmp_path, width=0.5, exclude=["MatMul_[qkv]*"]).model
    for i in range(2):
        assert made.graph.initializers[f"up{i}"].shape == ir.Shape([8, 16])
        assert made.graph.initializers[f"down{i}"].shape == ir.Shape([16, 8])
    assert answer(made, np.ones((2, 3, 8), np.float32)).shape == (2, 8)


@pytest.mark.parametrize("target", ["macs", "parameters"])
@pytest.mark.parametrize("depth", [1.0, 0.5])
def test_a_target_is_reached_by_depth_and_width_together(target: str, depth: float, tmp_path: Path) -> None:
    net = residual_net("plain", [1.0] * 4)
    result = done(net, tmp_path, target=target, amount=0.55, depth=depth, data=True)
    before, after = result.details[target]
    assert after <= 0.45 * before
    (goal,) = result.targets
    assert (goal.name, goal.met) == (f"student.{target}", True)
    assert goal.measured == pytest.approx(1 - after / before)


def test_a_target_that_depth_alone_reaches_cuts_no_channel(tmp_path: Path) -> None:
    result = done(residual_net("plain", [1.0] * 4), tmp_path, target="parameters", amount=0.2, depth=0.5)
    assert result.details["channels"] is None
    assert result.targets[0].met


def test_a_target_beyond_all_channels_is_told_as_not_met(tmp_path: Path) -> None:
    result = done(residual_net("plain", [1.0] * 2), tmp_path, target="macs", amount=0.99)
    assert not result.targets[0].met
    assert "Ask for less depth" in str(result.targets[0].why)


def test_a_time_that_cannot_be_told_is_no_target_that_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untold(*_: object, **__: object) -> float:
        raise remaining_cost.TimeNotMeasurable("the machine was busy")

    monkeypatch.setattr(remaining_cost, "_timed", lambda *_: untold)
    net = residual_net("plain", [1.0] * 4)
    (goal,) = done(net, tmp_path, target="latency", amount=0.6, depth=0.75, data=True).targets
    assert (goal.met, goal.measured) == (False, None)
    assert "The multiply-accumulates decided in its place." in str(goal.why)


@pytest.mark.parametrize("depth", [1.0, 0.75])
def test_a_width_that_was_found_by_time_is_found_again_by_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: float
) -> None:
    monkeypatch.setattr(remaining_cost, "_timed", by_parameters)
    settings = {"target": "latency", "amount": 0.6, "depth": depth}
    timed = done(residual_net("plain", [1.0] * 4), tmp_path, data=True, **settings)
    monkeypatch.undo()
    more = timed.details["as_settings"]
    assert more["target"] == "macs"
    again = done(residual_net("plain", [1.0] * 4), tmp_path, data=True, **settings | more)
    assert stored(again.model) == stored(timed.model)
    assert again.targets[0].met


def test_new_weights_alone_are_a_change(tmp_path: Path) -> None:
    """Else the upload itself would be handed over."""
    result = done(small_transformer(1), tmp_path, init="fresh")
    assert result.changed == 7


def test_fresh_weights_follow_from_the_seed(tmp_path: Path) -> None:
    made = [
        stored(done(small_transformer(2), tmp_path, init="fresh", depth=0.5, seed=seed).model)
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("settings", "code", "named"),
    [
        ({"depth": 0.1}, "invalid_request", "depth 0.1 leaves 0 of the model's 4 residual blocks"),
        ({"depth": 0.9}, "invalid_request", "leaves all of the model's 4 residual blocks"),
        ({"depth": 0.5, "exclude": ["*u1*", "up[012]"]}, "invalid_request", "join1: excluded"),
        ({"width": 0.4}, "does_not_divide", "2.4 of the 6 channels"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_work(
    settings: dict[str, Any], code: str, named: str
) -> None:
    net = residual_net("plain", [1.0] * 4)
    problem = refusal(lambda: check(net, [asked(**settings)], lambda _: net))
    assert problem is not None
    assert problem.code == code
    assert named in problem.detail


def test_a_network_that_cannot_be_trained_has_no_student() -> None:
    net = normalise(ir.from_proto(graphs.branches()))
    problem = refusal(lambda: check(net, [asked(init="fresh")], lambda _: net))
    assert problem is not None
    assert (problem.code, problem.layer) == ("unsupported_operator", "choose")


def test_a_network_without_blocks_has_no_depth() -> None:
    net = residual_net("plain", [])
    problem = refusal(lambda: check(net, [asked(depth=0.5)], lambda _: net))
    assert problem is not None
    assert problem.code == "nothing_to_compress"


@pytest.mark.parametrize("init", ["teacher", "fresh"])
def test_a_student_has_blocks_that_can_go_like_its_teacher(
    init: Literal["teacher", "fresh"], tmp_path: Path
) -> None:
    made = done(residual_net("activated", [1.0] * 4), tmp_path, depth=0.5, init=init).model
    assert [block.name for block in residual_blocks(made).blocks] == ["join0", "join2"]
