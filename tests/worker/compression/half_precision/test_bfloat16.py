"""bfloat16 on graphs built here: the numbers bit by bit, the size, that the file runs, and what stays float32."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.support.graphs import node
from tests.support.small_nets import digits_net, model, model_of, named, ops, proto, run, snr_db
from winnow.contract.errors import Refusal
from winnow.contract.recipe import BFloat16, Recipe
from worker.compression.apply import apply
from worker.compression.data.source import Data
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.pipeline import ARTIFACT, compress
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

SMALL = ir.DataType.BFLOAT16


def store_small(net: ir.Model, **step: Any) -> StepResult:
    return apply(net, BFloat16.model_validate({"kind": "bfloat16", **step}), Context(Path(), 0, Silent()))


def images(n: int = 20) -> Any:
    return np.random.default_rng(0).uniform(size=(n, 1, 8, 8)).astype(np.float32)


def product(weight: Any) -> ir.Model:
    return model(
        f"""(float[N,{weight.shape[0]}] x) => (float[N,{weight.shape[1]}] y) {{
            [product] y = MatMul (x, w)
        }}""",
        {"w": weight},
    )


def nearest_even(x: Any) -> Any:
    """bfloat16 by hand: the upper 16 bits, rounded to the nearest, ties to even; float32 [...] of finite numbers."""
    bits = x.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    return rounded.astype(np.uint32).view(np.float32)


WEIGHTS = arrays.arrays(
    np.float32, (16, 8), elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=True)
)


@given(WEIGHTS)
@settings(deadline=None)
def test_weights_are_rounded_to_the_nearest_bfloat16_ties_to_even(weight: Any) -> None:
    made = store_small(product(weight))
    cast = named(made.model, "product").inputs[1].producer()  # type: ignore[union-attr]
    assert cast is not None
    stored = cast.inputs[0].const_value  # type: ignore[union-attr]
    assert stored is not None
    assert stored.dtype == SMALL
    got = stored.numpy().astype(np.float32)
    np.testing.assert_array_equal(got.view(np.uint32), nearest_even(weight).view(np.uint32))


def test_the_file_runs_on_the_cpu_with_the_numbers_of_rounded_weights() -> None:
    weight = np.random.default_rng(0).normal(size=(32, 16)).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(5, 32)).astype(np.float32)
    got = run(store_small(product(weight)).model, {"x": x})
    np.testing.assert_allclose(got, x @ nearest_even(weight), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_a_net_of_any_opset_is_half_the_size_and_close(opset: int) -> None:
    """40 dB is a relative error of one percent; weights of 8 bits of precision give about 50."""
    made = store_small(digits_net(opset))
    assert made.model.opset_imports == {"": max(13, opset)}
    assert bool(made.notes) == (opset < 13)
    assert snr_db(run(digits_net(opset), {"image": images()}), run(made.model, {"image": images()})) > 40
    assert proto(made.model).ByteSize() < 0.6 * proto(digits_net(opset)).ByteSize()


def test_the_normal_form_does_not_compute_the_casts_away() -> None:
    made = normalise(store_small(digits_net()).model)
    assert proto(made).ByteSize() < 0.6 * proto(digits_net()).ByteSize()


def test_excluded_nodes_keep_their_weights_also_those_they_share() -> None:
    weight = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    nodes = [node("MatMul", "x w", "h", "first"), node("MatMul", "h w", "y", "second")]
    nodes.append(node("MatMul", "y v", "z", "third"))
    net = model_of(nodes, {"x": ["N", 16]}, {"z": ["N", 16]}, {"w": weight, "v": weight + 1})
    made = store_small(net, exclude=["first"])
    assert (made.changed, made.candidates) == (1, 3)
    kept = named(made.model, "second").inputs[1]
    assert kept is not None
    assert kept.const_value is not None
    np.testing.assert_array_equal(kept.const_value.numpy(), weight)
    reasons = {row["name"]: row["reason"] for row in made.details["layers"]}
    assert reasons == {"first": "excluded by pattern", "second": "excluded by pattern", "third": None}


def test_a_weight_that_two_nodes_share_is_stored_once() -> None:
    weight = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    made = store_small(
        model(
            """(float[N,16] x) => (float[N,16] y) {
            [first] h = MatMul (x, w)
            [second] y = MatMul (h, w)
        }""",
            {"w": weight},
        )
    )
    assert ops(made.model).count("Cast") == 1
    assert len(made.model.graph.initializers) == 1


def test_what_bfloat16_cannot_hold_stays_float32() -> None:
    weight = np.ones((16, 16), np.float32)
    weight[0, 0] = np.finfo(np.float32).max  # would round to infinity
    with pytest.raises(Refusal, match="largest bfloat16"):
        store_small(product(weight))


def test_small_weights_stay_float32_since_a_cast_takes_more_than_it_saves() -> None:
    made = store_small(product(np.ones((8, 8), np.float32)))
    assert (made.changed, made.candidates) == (0, 1)
    assert "fewer than 128 elements" in made.notes[0]


def test_a_whole_job_returns_a_file_of_half_the_size(tmp_path: Path) -> None:
    net = digits_net(11)
    model_files.save(net, tmp_path / "net.onnx")
    recipe = Recipe.model_validate({"steps": [{"kind": "bfloat16"}]})
    report = compress(tmp_path / "net.onnx", recipe, Data(), tmp_path / "out")
    assert report.size_bytes.ratio is not None
    assert report.size_bytes.ratio < 0.6
    assert report.opset.after == 13
    again = model_files.load(tmp_path / "out" / ARTIFACT)
    assert snr_db(run(digits_net(11), {"image": images()}), run(again, {"image": images()})) > 40
