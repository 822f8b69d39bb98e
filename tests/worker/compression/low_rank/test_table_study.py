"""Tables as a product of two: what a rank loses is told, heads read the same parts, full rank changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support.small_nets import model, named, ops, run, samples
from winnow.contract.recipe import LowRank
from worker.compression.graph.facts import cost
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.tables.find import find_tables
from worker.compression.ir.naming import Names
from worker.compression.low_rank.decompositions import Split
from worker.compression.low_rank.low_rank import low_rank
from worker.compression.low_rank.table_study import TableGeometry, TableStudy
from worker.compression.low_rank.table_surgery import factorise_table
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

ROWS, WIDTH, RANK = 400, 24, 5
RNG = np.random.default_rng(0)
EXACT = 1e-4
"""Relative to the largest output: float32 products, one after the other."""
IDS = RNG.integers(0, ROWS, (6, 7))


def table(noise: float = 0.0) -> Any:
    """A table of rank 5, and noise."""
    low = RNG.normal(size=(ROWS, RANK)) @ RNG.normal(size=(RANK, WIDTH))
    return (low + noise * RNG.normal(size=(ROWS, WIDTH))).astype(np.float32)


HEADS = {
    "none": "y = Identity (x)",
    "matmul": "t = Transpose <perm=[1, 0]> (words)\n [head] y = MatMul (x, t)",
    "gemm": "flat = Reshape (x, rows)\n [head] y = Gemm <transB=1> (flat, words, bias)",
}


def net(head: str, noise: float = 0.0) -> ir.Model:
    out = {"none": f"N,L,{WIDTH}", "matmul": f"N,L,{ROWS}", "gemm": f"M,{ROWS}"}[head]
    weights: dict[str, Any] = {"words": table(noise)}
    if head == "gemm":
        weights |= {"bias": RNG.normal(size=ROWS).astype(np.float32), "rows": np.array([-1, WIDTH])}
    text = f"""(int64[N,L] ids) => (float[{out}] y) {{
        [word] w = Gather (words, ids)
        x = Tanh (w)
        {HEADS[head]}
    }}"""
    return model(text, weights)


def asked(**settings: Any) -> LowRank:
    step: LowRank = TypeAdapter(LowRank).validate_python({"kind": "low_rank", **settings})
    return step


def done(made: ir.Model, folder: Path, ids: Any = IDS, **settings: Any) -> StepResult:
    (scratch := folder / "step").mkdir()
    data = samples(folder / "data", made, ids=ids)
    return low_rank(made, asked(**settings), Context(scratch, 0, Silent(), data))


@pytest.mark.parametrize("head", HEADS)
def test_a_table_of_a_low_rank_is_the_product_of_its_parts(tmp_path: Path, head: str) -> None:
    made = net(head)
    before = made.clone()
    result = done(made, tmp_path, rank="energy", energy=1 - 1e-9)
    after = normalise(result.model)
    row = next(row for row in result.details["layers"] if row["name"] == "word")
    assert (row["how"], row["ranks"], row["fitted"], row["reason"]) == ("svd", [RANK], "outputs", None)
    assert result.changed == (1 if head == "none" else 2)
    expected = run(before, {"ids": IDS})
    assert np.abs(run(after, {"ids": IDS}) - expected).max() <= EXACT * np.abs(expected).max()
    assert named(after, "word").op_type == "MatMul"
    assert cost.parameters(after) <= cost.parameters(before) * 0.3


@pytest.mark.parametrize("head", HEADS)
def test_what_is_planned_is_what_the_graph_of_it_costs(head: str) -> None:
    made = net(head)
    (found,) = find_tables(made)
    size = TableGeometry.nominal(found)
    study = TableStudy(found, size)
    biases = cost.parameters(made) - size.cost.parameters
    factorise_table(found, study.factorised(Split("svd", (3,))).parts, Names(made))
    assert cost.parameters(normalise(made)) - biases == size.cost_of(Split("svd", (3,))).parameters


def test_the_error_that_is_told_is_that_of_the_rows_that_are_looked_up(tmp_path: Path) -> None:
    (found,) = find_tables(net("none", noise=1.0))
    counts = RNG.integers(0, 50, ROWS)
    study = TableStudy(found, TableGeometry.nominal(found), counts)
    words = found.weight.const_value.numpy().astype(np.float64)  # type: ignore[union-attr]
    for option in study.rank_options("auto"):
        assert option.split is not None
        first, last = study.factorised(option.split).parts
        shares = counts + 1.0
        lost = (shares * ((words - first @ last) ** 2).sum(1)).sum() / (shares * (words**2).sum(1)).sum()
        assert lost == pytest.approx(option.lost, abs=1e-9)


def test_rows_that_are_looked_up_often_are_met_better_than_without_data(tmp_path: Path) -> None:
    often = np.full((6, 7), 11)
    errors = []
    for number, data_aware in enumerate((True, False)):
        made = net("none", noise=1.0)
        made.graph.initializers["words"].const_value = ir.tensor(WORDS, name="words")
        (tmp_path / str(number)).mkdir()
        before = made.clone()
        settings = {"rank": "parameters", "amount": 0.7, "data_aware": data_aware}
        after = normalise(done(made, tmp_path / str(number), often, **settings).model)
        errors.append(np.abs(run(after, {"ids": often}) - run(before, {"ids": often})).max())
    assert errors[0] < errors[1]


WORDS = table(1.0)


def test_a_table_without_a_head_has_no_multiplications_to_save(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = model(
        """(int64[N,L] ids) => (float[N,L,64] y) {
            [word] w = Gather (words, ids)
            [layer] y = MatMul (w, m)
        }""",
        {"words": table(1.0), "m": rng.normal(size=(WIDTH, 64)).astype(np.float32)},
    )
    rows = {row["name"]: row["reason"] for row in done(made, tmp_path, rank="macs").details["layers"]}
    assert "has no multiplications to save" in rows["word"]
    assert rows["layer"] is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"exclude": ["words"]}, "excluded by pattern"),
        ({"exclude": ["head"]}, "a layer with the same weight"),
    ],
)
def test_a_table_with_an_excluded_reader_stays(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    made = model(
        f"""(int64[N,L] ids) => (float[N,L,{ROWS}] y) {{
            [word] w = Gather (words, ids)
            [mix] x = MatMul (w, m)
            t = Transpose <perm=[1, 0]> (words)
            [head] y = MatMul (x, t)
        }}""",
        {"words": table(1.0), "m": RNG.normal(size=(WIDTH, WIDTH)).astype(np.float32)},
    )
    result = done(made, tmp_path, rank="parameters", amount=0.9, **settings)
    rows = {row["name"]: row for row in result.details["layers"]}
    assert reason in rows["word"]["reason"]
    assert rows["head"]["weight_of"] == "word"
    assert rows["head"]["reason"] == rows["word"]["reason"]
    assert ops(result.model).count("Gather") == 1
