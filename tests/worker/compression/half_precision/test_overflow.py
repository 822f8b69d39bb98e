"""float16 on nets that overflow by construction: what it keeps in float32, found by running, and the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import node
from tests.support.small_nets import digits_net, digits_samples, model, model_of, named, run, samples, snr_db
from winnow.contract.recipe import Float16
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

HALF, FLOAT = ir.DataType.FLOAT16, ir.DataType.FLOAT


def loud(factor: float) -> ir.Model:
    """x of about 1 becomes about `factor`, and about 1 again."""
    weights = {
        "w": np.eye(4, dtype=np.float32) * 1.5,
        "up": np.float32(factor**0.5),
        "down": np.float32(factor**-0.5),
        "v": np.eye(4, dtype=np.float32) * 1.5 * np.float32(factor**-0.5),
    }
    return model(
        """(float[N,4] x) => (float[N,4] y) {
            [first] a = MatMul (x, w)
            [louder] b = Mul (a, up)
            [loudest] c = Mul (b, up)
            [quiet] d = Mul (c, down)
            [last] y = MatMul (d, v)
        }""",
        weights,
    )


def rows(n: int = 64) -> Any:
    return np.random.default_rng(0).uniform(0.5, 1, (n, 4)).astype(np.float32)


def halve(net: ir.Model, folder: Path, x: Any, **step: Any) -> StepResult:
    given = samples(folder, net, x=x)
    return apply(
        net, Float16.model_validate({"kind": "float16", **step}), Context(folder, 0, Silent(), given)
    )


@pytest.mark.parametrize("keep", [True, False])
def test_what_overflows_stays_float32_and_the_rest_does_not(tmp_path: Path, keep: bool) -> None:
    made = halve(loud(1e6), tmp_path, rows(), keep_io_types=keep)
    assert set(made.details["islands"]) == {"loudest", "quiet"}
    types = {str(n.name): n.outputs[0].dtype for n in made.model.graph if n.op_type != "Cast"}
    assert types["loudest"] == types["quiet"] == FLOAT
    assert types["first"] == types["louder"] == HALF
    assert "loudest (reached" in " ".join(made.notes)
    x = rows(200) if keep else rows(200).astype(np.float16)
    assert snr_db(run(loud(1e6), {"x": rows(200)}), run(made.model, {"x": x})) > 40


def test_without_data_random_numbers_show_what_overflows() -> None:
    made = apply(loud(1e6), Float16.model_validate({"kind": "float16"}), Context(Path(), 0, Silent()))
    assert set(made.details["islands"]) == {"loudest", "quiet"}
    assert np.isfinite(run(made.model, {"x": rows()}, "c")).all()
    assert "on random numbers" in " ".join(made.notes)


def test_a_net_that_stays_small_is_what_it_is_without_data(tmp_path: Path) -> None:
    half = Float16.model_validate({"kind": "float16"})
    seen = apply(digits_net(), half, Context(tmp_path, 0, Silent(), digits_samples(tmp_path)))
    blind = apply(digits_net(), half, Context(tmp_path, 0, Silent()))
    assert seen.details["islands"] == {}
    assert [n.op_type for n in seen.model.graph] == [n.op_type for n in blind.model.graph]


@pytest.mark.parametrize(("largest", "kept"), [(30000, 0), (36000, 2)])
def test_an_island_begins_at_half_of_what_float16_holds(tmp_path: Path, largest: float, kept: int) -> None:
    made = halve(loud(largest / 1.5), tmp_path, np.ones((8, 4), np.float32))
    assert len(made.details["islands"]) == kept


def test_what_overflows_only_in_float16_is_found_by_running_again_until_nothing_does(tmp_path: Path) -> None:
    """4098.1 becomes 4100: exp(10.1) fits, exp(12) does not; and the one that reads it cannot read it in float16."""
    weights = {"up": np.float32(4098.1), "less": np.float32(4088), "down": np.float32(1e-4)}
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [scaled] a = Mul (x, up)
            [difference] b = Sub (a, less)
            [exponential] c = Exp (b)
            [shrunk] y = Mul (c, down)
        }""",
        weights,
    )
    made = halve(net, tmp_path, np.ones((8, 4), np.float32))
    assert set(made.details["islands"]) == {"exponential", "shrunk"}
    assert all("overflowed" in why for why in made.details["islands"].values())
    assert named(made.model, "difference").outputs[0].dtype == HALF
    assert np.isfinite(run(made.model, {"x": np.ones((8, 4), np.float32)}, "c")).all()


def test_a_sum_of_squares_that_is_too_large_stays_float32(tmp_path: Path) -> None:
    weights = {"scale": np.float32(1500), "small": np.float32(1e-4)}
    net = model(
        """(float[N,4] x) => (float[N,1] y) {
            [scaled] a = Mul (x, scale)
            [squares] s = ReduceSumSquare <keepdims=1> (a)
            [shrunk] b = Mul (s, small)
            [length] l = ReduceL2 <keepdims=1> (a)
            [divided] y = Div (b, l)
        }""",
        weights,
    )
    made = halve(net, tmp_path, rows())
    assert set(made.details["islands"]) == {"squares", "shrunk"}
    assert snr_db(run(net, {"x": rows()}), run(made.model, {"x": rows()})) > 40


def test_infinities_of_the_float32_graph_are_not_overflow(tmp_path: Path) -> None:
    """A mask of minus infinity before a softmax is meant."""
    nodes = [
        node("Log", "x", "a", "masked"),  # log 0
        node("Softmax", "a", "p", "softmax", axis=-1),
        node("MatMul", "p w", "y", "product"),
    ]
    x = rows()
    x[:, 0] = 0
    net = model_of(nodes, {"x": ["N", 4]}, {"y": ["N", 4]}, {"w": np.eye(4, dtype=np.float32)})
    reference = run(net, {"x": x})
    made = halve(net, tmp_path, x)
    assert made.details["islands"] == {}
    assert named(made.model, "softmax").outputs[0].dtype == HALF
    assert snr_db(reference, run(made.model, {"x": x})) > 40


def test_the_seed_decides(tmp_path: Path) -> None:
    first, second = (halve(loud(1e6), tmp_path, rows(400)) for _ in range(2))
    assert ir.to_proto(first.model) == ir.to_proto(second.model)
    assert first.details["samples"] == 256
