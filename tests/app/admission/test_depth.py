"""What POST refuses of depth_pruning, by the blocks that inspection found."""

from typing import Any

import pytest

from tests.support.admission import calibration, outcome, refused
from tests.support.facts import model_facts
from winnow.contract.model import ModelFacts, ResidualBlock

DEEP: dict[str, Any] = {"kind": "depth_pruning"}
WHERE = "recipe.steps.0"
LAYER = "/head/fc"


def with_blocks(*pinned: str | None, layer: str = LAYER) -> ModelFacts:
    blocks = [ResidualBlock(name=f"/add{n}", layers=[layer], pinned=why) for n, why in enumerate(pinned)]
    return model_facts(blocks=blocks)


def test_it_needs_calibration_data() -> None:
    assert refused(DEEP, model=with_blocks(None)) == ("missing_data", "data.calibration")
    assert outcome(DEEP, model=with_blocks(None), data=calibration()) is None


@pytest.mark.parametrize(
    ("model", "step", "said"),
    [
        (with_blocks(), {}, "The model has no residual blocks"),
        (
            with_blocks("its shortcut is changed on its way"),
            {},
            "(/add0: its shortcut is changed on its way)",
        ),
        (with_blocks(None), {"exclude": [LAYER]}, "`exclude` leaves none of the 1 residual blocks"),
    ],
)
def test_a_model_without_a_block_that_can_go_is_refused(
    model: ModelFacts, step: dict[str, Any], said: str
) -> None:
    problem = outcome({**DEEP, **step}, model=model, data=calibration())
    assert problem is not None
    assert (problem.code, problem.field) == ("nothing_to_compress", f"{WHERE}.kind")
    assert said in (problem.detail or "")


def test_more_multiply_accumulates_than_all_blocks_have_are_refused() -> None:
    """A tenth of them is in the block."""
    step = {**DEEP, "target": "macs", "amount": 0.2}
    problem = outcome(step, model=with_blocks(None), data=calibration())
    assert problem is not None
    assert (problem.code, problem.field) == ("invalid_request", f"{WHERE}.amount")
    assert "20.0% of the macs were to go, and the 1 residual blocks that can go have at most 10.0%" in (
        problem.detail or ""
    )
    assert outcome({**step, "amount": 0.05}, model=with_blocks(None), data=calibration()) is None


def test_behind_a_step_that_changes_what_layers_cost_nothing_is_said_of_shares() -> None:
    step = {**DEEP, "target": "macs", "amount": 0.2}
    assert outcome({"kind": "low_rank"}, step, model=with_blocks(None), data=calibration()) is None


def test_a_model_inspected_before_blocks_were_looked_for_is_left_to_the_worker() -> None:
    assert outcome(DEEP, model=model_facts(), data=calibration()) is None
