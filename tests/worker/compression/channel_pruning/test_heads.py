"""channel_pruning of transformers: what a head is worth, what goes, what the report says of it, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support.channels import normal
from tests.support.refusals import refusal
from tests.support.small_nets import model, run, samples
from tests.support.transformers import INNER, INPUT, LENGTH, STREAM, exported
from winnow.contract.recipe import ChannelPruning
from worker.compression.channel_pruning.channel_pruning import channel_pruning
from worker.compression.channel_pruning.criteria_activation import activation_energies
from worker.compression.channel_pruning.criteria_gradients import gradient_scores
from worker.compression.graph.channels import Group, channel_groups
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

ROWS = np.random.default_rng(3).standard_normal((8, LENGTH, INPUT)).astype(np.float32)
HEADS, OUT = "/attention/query/MatMul", "/attention/out/MatMul"


def transformer(style: str = "llama") -> ir.Model:
    return normal(exported(style, "torchscript"))


def asked(**settings: Any) -> ChannelPruning:
    step: ChannelPruning = TypeAdapter(ChannelPruning).validate_python(
        {"kind": "channel_pruning", **settings}
    )
    return step


def done(net: ir.Model, folder: Path, **settings: Any) -> StepResult:
    (scratch := folder / "step").mkdir()
    x = ROWS if len(net.graph.inputs[0].shape) == ROWS.ndim else np.ones((8, 8), np.float32)
    rows = samples(folder / "data", net, x=x)
    return channel_pruning(net, asked(**settings), Context(scratch, 0, Silent(), rows))


def rows(result: StepResult, unit: str) -> list[dict[str, Any]]:
    return [row for row in result.details["groups"] if row["unit"] == unit and row["pinned"] is None]


def heads_of(net: ir.Model) -> Group:
    (group,) = (group for group in channel_groups(net).groups if group.unit == "head")
    return group


def scaled(net: ir.Model, group: Group, head: int, factor: float) -> ir.Model:
    """The network with a head behind a gate of this value."""
    copy = net.clone()
    for part in (part for part in group.channels[head].parts if part.role == "input"):
        value = copy.graph.initializers[part.initializer]
        array = value.const_value.numpy().copy()
        array[(slice(None),) * part.axis + (list(part.indices),)] *= factor
        value.const_value = ir.Tensor(array, name=value.name)
    return copy


@pytest.mark.parametrize("style", ["separate", "llama", "one_key"])
def test_taylor_is_the_square_of_how_the_loss_changes_by_the_gate_of_a_head(
    tmp_path: Path, style: str
) -> None:
    """Against central differences of float32, for the loss of an output without classes: within a hundredth."""
    net = transformer(style)
    groups = channel_groups(net).groups
    found = gradient_scores(net, groups, "taylor", samples(tmp_path, net, x=ROWS), lambda _: None)
    place = next(i for i, group in enumerate(groups) if group.unit == "head")

    def loss(head: int, factor: float) -> float:
        y = run(scaled(net, groups[place], head, factor), {"x": ROWS})
        return float((y.astype(np.float64) ** 2).sum() / len(y))

    step = 0.02
    slopes = [
        (loss(head, 1 + step) - loss(head, 1 - step)) / (2 * step)
        for head in range(len(groups[place].channels))
    ]
    expected = np.square(slopes)
    np.testing.assert_allclose(found[place], expected, rtol=1e-2, atol=1e-2 * expected.max())


def test_activation_is_the_mean_square_of_what_a_head_passes_on(tmp_path: Path) -> None:
    net = transformer("separate")
    groups = channel_groups(net).groups
    found = activation_energies(net, groups, samples(tmp_path, net, x=ROWS), lambda _: None)
    (out,) = (node for node in net.graph if node.name == OUT)
    passed = run(net, {"x": ROWS}, out.inputs[0].name)
    expected = (passed**2).mean((0, 1)).reshape(4, STREAM // 4).sum(1)
    (place,) = (i for i, group in enumerate(groups) if group.unit == "head")
    assert found[place] is not None
    np.testing.assert_allclose(found[place], expected, rtol=1e-5)


@pytest.mark.parametrize("criterion", ["taylor", "activation", "l2", "fisher", "fpgm", "random", "l1"])
def test_a_head_that_does_nothing_goes_first(tmp_path: Path, criterion: str) -> None:
    """Of those that look at values; others take any, and as many."""
    net = transformer("separate")
    silent = scaled(net, heads_of(net), 2, 0.0)
    result = done(silent, tmp_path, criterion=criterion, target="channels", amount=0.2, repair=False)
    (row,) = rows(result, "head")
    assert (row["channels"], row["channels_after"]) == (4, 3)
    if criterion == "taylor":
        before, after = (
            each.graph.initializers["attention.query.bias"].const_value for each in (silent, result.model)
        )
        expected = np.delete(before.numpy().reshape(4, -1), 2, axis=0).reshape(-1)
        np.testing.assert_array_equal(after.numpy(), expected)


def test_heads_and_widths_are_reported_before_and_after(tmp_path: Path) -> None:
    result = done(transformer(), tmp_path, target="channels", amount=0.5, round_to=1, repair=False)
    (heads,), (inner,) = rows(result, "head"), rows(result, "channel")
    assert [heads[key] for key in ("channels", "channels_after", "queries", "width")] == [2, 1, 2, 12]
    assert [inner[key] for key in ("channels", "channels_after")] == [INNER, INNER // 2]
    widths = {row["layer"]: (row["inputs"], row["outputs"]) for row in result.details["widths"]}
    assert widths[HEADS] == ([STREAM, STREAM], [STREAM, STREAM // 2])
    assert widths["/attention/key/MatMul"] == ([STREAM, STREAM], [STREAM // 2, STREAM // 4])
    assert widths[OUT] == ([STREAM, STREAM // 2], [STREAM, STREAM])
    assert "/head/MatMul" not in widths


def test_over_rounds_what_is_left_of_a_group_of_queries_counts_as_a_head(tmp_path: Path) -> None:
    """Two groups of two queries: the first round leaves a group, the second one query of it, the key stays."""
    settings = {"target": "channels", "amount": 0.75, "rounds": 2, "round_to": 1, "repair": False}
    result = done(transformer(), tmp_path, **settings)
    (heads,) = rows(result, "head")
    assert (heads["channels"], heads["channels_after"]) == (2, 1)
    widths = {row["layer"]: row["outputs"] for row in result.details["widths"]}
    assert widths[HEADS] == [STREAM, STREAM // 4]
    assert widths["/attention/key/MatMul"] == [STREAM // 2, STREAM // 4]
    run(result.model, {"x": ROWS})


def test_inside_all_heads_stay(tmp_path: Path) -> None:
    """Three pairs of rotary places, and six places of values."""
    result = done(transformer(), tmp_path, heads="inside", target="channels", amount=0.5, round_to=1)
    assert rows(result, "head") == []
    assert {row["channels_after"] for row in rows(result, "head_width")} == {1, 3}
    run(result.model, {"x": ROWS})


@pytest.mark.parametrize("style", ["llama", "written_out"])
def test_the_embedding_width_goes_and_the_repair_makes_up_for_it(tmp_path: Path, style: str) -> None:
    net = transformer(style)
    y = run(net, {"x": ROWS})
    errors = []
    for repair in (False, True):
        (folder := tmp_path / str(repair)).mkdir()
        settings = {"embedding_width": True, "target": "parameters", "amount": 0.3, "repair": repair}
        result = done(net.clone(), folder, **settings)
        (stream,) = rows(result, "embedding")
        assert stream["channels_after"] < stream["channels"] == STREAM
        assert [target.met for target in result.targets] == [True]
        errors.append(float(np.square(run(result.model, {"x": ROWS}) - y).mean()))
    assert errors[1] < errors[0]


def stream_that_is_an_output() -> ir.Model:
    weights = {name: np.eye(8, dtype=np.float32) for name in ("a", "b", "c")}
    return model(
        """(float[N,8] x) => (float[N,8] y) {
            [stem] s = MatMul (x, a)
            [norm] n = LayerNormalization (s, g)
            [up] u = MatMul (n, b)
            [relu] r = Relu (u)
            [down] d = MatMul (r, c)
            [join] y = Add (s, d)
        }""",
        weights | {"g": np.ones(8, np.float32)},
    )


def without_a_stream() -> ir.Model:
    weights = {name: np.eye(8, dtype=np.float32) for name in ("a", "b")}
    text = "(float[N,8] x) => (float[N,8] y) {\n[up] u = MatMul (x, a)\n[down] y = MatMul (u, b)\n}"
    return model(text, weights)


@pytest.mark.parametrize(
    ("net", "settings", "field", "words"),
    [
        (
            transformer,
            {"round_to": 32},
            "recipe.steps.round_to",
            [HEADS, "2 heads are 12 wide", "only 8 of them", "divisor of 12", "heads: inside"],
        ),
        (
            stream_that_is_an_output,
            {"embedding_width": True},
            "recipe.steps.embedding_width",
            ["embedding width of 8 (stem)", "graph output 'y'"],
        ),
        (
            without_a_stream,
            {"embedding_width": True},
            "recipe.steps.embedding_width",
            ["no residual stream"],
        ),
        (
            transformer,
            {"embedding_width": True, "exclude": ["/embed/MatMul"]},
            "recipe.steps.embedding_width",
            ["`exclude` keeps the embedding width of 24", "/embed/MatMul"],
        ),
    ],
)
def test_what_cannot_be_is_refused_with_names_and_numbers(
    tmp_path: Path, net: Any, settings: dict[str, Any], field: str, words: list[str]
) -> None:
    problem = refusal(lambda: done(net(), tmp_path, **settings))
    assert problem is not None
    assert (problem.code, problem.field) == ("invalid_request", field)
    for word in words:
        assert word in problem.detail


def test_heads_are_kept_in_so_many_that_their_width_is_a_multiple(tmp_path: Path) -> None:
    """Twelve heads of width 2: multiples of 8 are four heads. By itself heads go one by one."""
    for round_to, multiple in ((8, 4), (None, 1)):
        (folder := tmp_path / str(round_to)).mkdir()
        result = done(
            transformer("many_heads"), folder, target="channels", amount=0.4, round_to=round_to, repair=False
        )
        (row,) = rows(result, "head")
        assert row["channels_after"] % multiple == 0
        assert row["channels_after"] < 12
