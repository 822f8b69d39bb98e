"""A graph that is run in stages answers what it does at once, and runs each node once."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import ragged
from tests.support.refusals import refusal
from tests.support.small_nets import model, samples
from worker.compression.data.samples import Samples
from worker.compression.runtime import stages as module
from worker.compression.runtime.observe import Observer
from worker.compression.runtime.stages import Stages

WIDTH = 4
TEXT = f"""(float[N,{WIDTH}] x) => (float[N,{WIDTH}] y, int64[2] size) {{
    a = MatMul (x, first)
    b = Relu (a)
    c = MatMul (b, second)
    s = Add (c, b)
    low, high = Split <axis = 1> (s, halves)
    largest = ReduceMax <keepdims = 0> (b)
    above = Greater (largest, bound)
    z = If (above) <
        then_branch = t () => (float[N,2] p) {{ p = Neg (low) }},
        else_branch = e () => (float[N,2] q) {{ q = Abs (low) }}
    >
    size = Shape (b)
    shaped = Reshape (z, size_of)
    joined = Concat <axis = 1> (shaped, high)
    d = MatMul (joined, third)
    y = Add (d, a)
}}"""
VALUES = ("x", "a", "b", "c", "s", "low", "high", "z", "size", "joined", "d", "y")


def net() -> ir.Model:
    """With a skip over stages, a node of two outputs, a branch that captures, and whole numbers."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) for name in ("first", "second", "third")
    }
    others = {"halves": np.array([2, 2]), "bound": np.array(0.5, np.float32), "size_of": np.array([-1, 2])}
    return model(TEXT, weights | others)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    x = np.random.default_rng(1).normal(size=(7, WIDTH)).astype(np.float32)
    return samples(tmp_path_factory.mktemp("rows"), net(), x=x)


class Counting(Observer):
    """Notes the nodes that are run."""

    nodes: list[str] = []  # noqa: RUF012

    def __init__(self, made: ir.Model, values: list[str]) -> None:
        self.nodes.extend(str(node.name) for node in made.graph)
        super().__init__(made, values)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3), min_size=1, max_size=5))
def test_the_values_are_those_of_the_graph_and_each_node_is_run_once(
    rows: Samples, wanted: list[list[str]]
) -> None:
    """Whatever is wanted in whichever order, in batches of two; to 1e-6. Nothing is held behind the last stage."""
    graph = net()
    expected = [np.concatenate(parts) for parts in zip(*_alone(graph, rows), strict=True)]
    Counting.nodes.clear()
    stages = Stages(graph, wanted)
    stages.begin(rows, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Observer", Counting)
        for number, names in enumerate(wanted):
            seen = [np.concatenate(parts) for parts in zip(*stages.run(number), strict=True)]
            for name, values in zip(dict.fromkeys(names), seen, strict=True):
                assert np.allclose(values, expected[VALUES.index(name)], rtol=1e-6, atol=1e-6)
    assert len(Counting.nodes) == len(set(Counting.nodes))
    assert not any(held for _, held in stages._held)


def _alone(graph: ir.Model, rows: Samples) -> list[list[Any]]:
    return [batch.values for batch in Observer(graph, list(VALUES)).run(rows, 2)]


def test_a_weight_that_changes_between_two_stages_counts_for_the_later_alone(rows: Samples) -> None:
    graph = net()
    stages = Stages(graph, [["s"], ["y"]])
    stages.begin(rows, 3)
    before = [s for (s,) in stages.run(0)]
    for name in ("first", "third"):
        graph.graph.initializers[name].const_value = ir.tensor(
            np.zeros((WIDTH, WIDTH), np.float32), name=name
        )
    after = [y for (y,) in stages.run(1)]
    plain = [a for (a,) in (batch.values for batch in Observer(net(), ["a"]).run(rows, 3))]
    assert all(np.abs(part).max() > 0 for part in before)
    assert all(np.array_equal(*pair) for pair in zip(after, plain, strict=True))  # y = d + a, and d is 0


def test_what_is_computed_from_padding_is_cut_off_what_is_wanted_and_not_of_what_is_held(
    tmp_path: Path,
) -> None:
    """A model of a fixed length, and shorter rows: to 1e-5 what the open model answers to them."""
    sentences = ragged.rows(6)
    fixed, free = ragged.encoder(ragged.LENGTH), ragged.encoder()
    wanted = ["context", "states"]
    stages = Stages(fixed, [[name] for name in wanted])
    stages.begin(ragged.opened(tmp_path / "fixed", fixed, sentences), 2)
    given_rows = ragged.opened(tmp_path / "free", free, sentences)
    expected = [batch.values for batch in Observer(free, wanted).run(given_rows, 2)]
    for number in range(len(wanted)):
        for (values,), batch in zip(stages.run(number), expected, strict=True):
            assert np.allclose(values, batch[number], rtol=1e-5, atol=1e-5)


def test_the_bytes_that_are_held_are_told_before(rows: Samples) -> None:
    """Of a sample: `low`, `high` and `a` between the stages, 8 numbers; of `s` 4 are wanted."""
    stages = Stages(net(), [["s"], ["low", "high"], ["y"]])
    held, wanted = stages.bytes_per_sample(rows)
    stages.begin(rows, 1)
    most = 0.0
    for number in range(3):
        for _ in stages.run(number):
            pass
        most = max([most, *(sum(x.nbytes for x in values.values()) for _, values in stages._held)])
    assert most <= held
    assert wanted == 4 * WIDTH


def test_what_becomes_infinite_is_refused_with_its_layer(rows: Samples) -> None:
    graph = model("(float[N,4] x) => (float[N,4] y) { a = Relu (x) [bad] y = Log (a) }")
    stages = Stages(graph, [["a"], ["y"]])
    stages.begin(rows, 2)
    list(stages.run(0))
    problem = refusal(lambda: list(stages.run(1)))
    assert problem is not None
    assert (problem.code, problem.layer) == ("not_finite", "bad")


def test_what_is_held_may_be_of_a_type_that_nothing_says(rows: Samples) -> None:
    graph = model(
        "(float[N,4] x) => (float[N,4] y) { s = Shape (x) a = Relu (x) b = Reshape (a, s) y = Reshape (b, s) }"
    )
    for node in graph.graph:
        for value in node.outputs:
            value.type = value.shape = None
    stages = Stages(graph, [["b"], ["y"]])
    stages.begin(rows, 7)
    [[b]], [[y]] = stages.run(0), stages.run(1)
    assert np.array_equal(y, b)
