"""What stays float by rule is what the selection leaves out, has its figures in the documents, and is reported."""

from pathlib import Path

import pytest

from tests.support.collapsing_nets import data_for, norm_net
from tests.support.pages import DOCS
from tests.support.small_nets import samples
from winnow.contract.recipe import Int8, Int8Static, MixedPrecision
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.quantization.integer.eligibility import CARRYING, CLIPPING, JOINING
from worker.compression.quantization.integer.operator_rules import RULES, OperatorRule
from worker.compression.steps.context import Context


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.operator)
def test_a_rule_holds_and_its_figures_and_source_are_documented(rule: OperatorRule) -> None:
    assert rule.operator not in CARRYING | CLIPPING | JOINING
    text = (DOCS / "techniques.md").read_text()
    assert rule.measured in text
    assert rule.source in text


@pytest.mark.parametrize(
    "step",
    [
        Int8Static(kind="int8_static"),
        Int8(kind="int8", samples=64, candidate="static, mse"),
        MixedPrecision(kind="mixed_precision", max_size_ratio=0.9),
        MixedPrecision(kind="mixed_precision", max_size_ratio=0.9, bits={"first": 8}),
    ],
)
def test_the_report_says_which_rule_left_operators_in_float(
    step: Int8Static | Int8 | MixedPrecision, tmp_path: Path
) -> None:
    data = samples(tmp_path, norm_net(), **data_for(norm_net()))
    (row,) = apply(norm_net(), step, Context(tmp_path, 0, Silent(), data)).details["float_operators"]
    assert (row["op"], row["nodes"]) == ("LayerNormalization", 1)
    assert "no integer kernel" in row["reason"]
