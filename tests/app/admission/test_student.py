"""Students that cannot be made are refused before any work, with names and numbers."""

from typing import Any

from tests.support.admission import outcome
from tests.support.facts import model_facts
from winnow.contract.errors import Problem
from winnow.contract.model import Layer, ModelFacts
from winnow.contract.stored_weights import ChannelGroup

LAYERS = [Layer(name=f"l{number}", op="Conv", weight=[16, 16, 3, 3], macs=100) for number in range(3)]
BLOCKS = [
    {"name": f"join{number}", "layers": [f"l{number}"], "pinned": pinned}
    for number, pinned in enumerate((None, "its shortcut has layers of its own", None))
]
MODEL = model_facts(layers=LAYERS, blocks=BLOCKS, channel_groups=[ChannelGroup(channels=16, producers=[0])])


def refused(model: ModelFacts = MODEL, *before: dict[str, Any], **settings: Any) -> Problem | None:
    return outcome(*before, {"kind": "student", **settings}, model=model)


def test_what_can_be_made_is_not_refused() -> None:
    assert refused(depth=2 / 3, width=0.5) is None
    assert refused(target="macs", amount=0.5) is None


def test_a_depth_beyond_what_can_go_names_what_stays_and_the_least_depth() -> None:
    problem = refused(depth=0.1)
    assert problem is not None
    assert (problem.code, problem.field) == ("invalid_request", "recipe.steps.0.depth")
    assert "leaves 0 of the model's 3 residual blocks" in problem.detail
    assert "join1: its shortcut has layers of its own" in problem.detail
    assert "0.333 at least" in problem.detail


def test_where_no_block_can_go_there_is_no_depth() -> None:
    problem = refused(model_facts(layers=LAYERS, blocks=[{**b, "pinned": "x"} for b in BLOCKS]), depth=0.9)
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_compress", "recipe.steps.0.depth")
    assert "join0: x; join1: x; join2: x" in problem.detail


def test_a_depth_that_leaves_all_is_refused_with_one_that_does_not() -> None:
    problem = refused(depth=0.9)
    assert problem is not None
    assert problem.code == "invalid_request"
    assert "less than 0.833" in problem.detail
    assert refused(depth=0.83) is None


def test_a_width_that_does_not_divide_names_groups_and_widths_that_do() -> None:
    problem = refused(width=0.7)
    assert problem is not None
    assert (problem.code, problem.field) == ("does_not_divide", "recipe.steps.0.width")
    assert "11.2 of the 16 channels of l0" in problem.detail
    assert refused(width=0.7, round_to=8) is None
    assert refused(width=0.7, exclude=["l1"]) is not None


def test_without_blocks_there_is_no_depth_and_without_channels_no_width() -> None:
    for settings, facts in (({"depth": 0.5}, {"blocks": []}), ({"width": 0.5}, {"channel_groups": []})):
        problem = refused(model_facts(layers=LAYERS, **facts), **settings)
        assert problem is not None
        assert problem.code == "nothing_to_compress"


def test_a_model_that_cannot_learn_has_no_student() -> None:
    assert (
        getattr(refused(model_facts(layers=[], parameters=0), width=0.5), "code", None) == "nothing_to_train"
    )
    assert getattr(refused(model_facts(quantized=True)), "code", None) == "already_quantized"


def test_behind_a_step_that_changes_shapes_the_worker_looks() -> None:
    assert refused(MODEL, {"kind": "low_rank"}, width=0.7) is None
