"""Targets of Reshapes as numbers: what a network computes stays, bit by bit, for every size."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.simplify.reshape_targets import write_targets

CONSTANTS = {
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "three": np.array([3]),
    "minus": np.array([-1]),
    "scalar": np.array(1),
}


def written(text: str, inputs: str = "float[N,L,6] x") -> tuple[ir.Model, list[int] | None]:
    """The normal form with targets written, and the last Reshape's."""
    made = graphs.parse(f"({inputs}) => (float[a,b,c,d] y) {{ {text} }}", CONSTANTS)
    model = normalise(ir.from_proto(made))
    write_targets(model)
    node = [node for node in model.graph if node.op_type == "Reshape"][-1]
    target = node.inputs[1]
    assert target is not None
    return model, None if target.const_value is None else target.const_value.numpy().tolist()


SHAPE = "[s] s = Shape (x) "
BATCH = SHAPE + "[b] b = Gather (s, zero) "


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (BATCH + "[c] c = Concat <axis = 0> (b, three, two, minus) [r] y = Reshape (x, c)", [0, 3, 2, -1]),
        (
            SHAPE
            + "[f] f = Slice (s, zero, two) [c] c = Concat <axis = 0> (f, three, two) [r] y = Reshape (x, c)",
            [0, 0, 3, 2],
        ),
        (
            "[t] t = Transpose <perm = [1, 0, 2]> (x) "
            + BATCH
            + "[c] c = Concat <axis = 0> (three, two, b, minus) [r] y = Reshape (t, c)",
            None,
        ),
        (
            "[t] t = Transpose <perm = [1, 0, 2]> (x) "
            + SHAPE
            + "[g] g = Gather (s, scalar) [u] u = Unsqueeze (g, zero) [v] v = Gather (s, zero)"
            + "[c] c = Concat <axis = 0> (u, v, three, two) [r] y = Reshape (t, c)",
            [0, 0, 3, 2],
        ),
        (
            BATCH
            + "[m] m = Mul (b, three) [c] c = Concat <axis = 0> (m, two, one, minus) [r] y = Reshape (x, c)",
            None,
        ),
    ],
    ids=["own", "two of its own", "another's beside what is open", "turned", "computed beside what is open"],
)
def test_sizes_that_follow_from_the_inputs_are_written(text: str, target: list[int] | None) -> None:
    model, made = written(text)
    assert made == target
    for shape in ((1, 4, 6), (3, 2, 6), (0, 2, 6)):
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        if target is None or 0 in shape:
            continue
        (before,) = run(
            graphs.parse(f"(float[N,L,6] x) => (float[a,b,c,d] y) {{ {text} }}", CONSTANTS), {"x": x}
        )
        (after,) = run(model, {"x": x})
        assert before.shape == after.shape
        assert before.tobytes() == after.tobytes()


def test_a_single_size_that_varies_is_left_to_the_reshape_without_samples_too() -> None:
    text = (
        BATCH + "[m] m = Mul (b, two) [c] c = Concat <axis = 0> (m, three, one, one) [r] y = Reshape (x, c)"
    )
    model, made = written(text, "float[N,6] x")
    assert made == [-1, 3, 1, 1]
    for samples in (0, 1, 5):
        (y,) = run(model, {"x": np.zeros((samples, 6), np.float32)})
        assert y.shape == (2 * samples, 3, 1, 1)


def test_a_body_that_iterates_is_not_looked_into() -> None:
    text = SHAPE + "[c] c = Concat <axis = 0> (s, one) [r] y = Reshape (x, c)"
    _, made = written(text)
    assert made == [0, 0, 6, 1]
