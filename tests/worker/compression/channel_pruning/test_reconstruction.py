"""Least-squares repair after a cut: lower error, exact where what went was a combination of what stayed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import node
from tests.support.small_nets import digits_net, digits_samples, model_of, run, samples
from worker.compression.channel_pruning.reconstruction import MIN_BATCHES, Reconstruction, reconstruct
from worker.compression.data.samples import Fed
from worker.compression.graph.channels import channel_groups, cut
from worker.compression.runtime import stages
from worker.compression.runtime.observe import Observer

CHAINS = ("Conv", "Gemm", "MatMul")


def chain(op: str, *, biased: bool = True) -> ir.Model:
    """Six channels of which the last two are combinations of the first four, and a layer that reads them."""
    rng = np.random.default_rng(0)
    first, mix = rng.normal(size=(4, 3)), rng.normal(size=(2, 4))
    w1 = np.concatenate([first, mix @ first])
    w2 = rng.normal(size=(5, 6))
    weights: dict[str, Any] = {"w1": w1, "w2": w2}
    bias = ""
    if biased and op != "MatMul":
        b1 = rng.normal(size=4)
        weights |= {"b1": np.concatenate([b1, mix @ b1 + [1.0, -2.0]]), "b2": rng.normal(size=5)}
        bias = " b{}"
    if op == "Conv":
        weights |= {"w1": w1[:, :, None, None], "w2": w2[:, :, None, None]}
    if op == "MatMul":
        weights |= {"w1": w1.T, "w2": w2.T}
    how = {"transB": 1} if op == "Gemm" else {}
    nodes = [
        node(op, "x w1" + bias.format(1), "h", "first", **how),
        node(op, "h w2" + bias.format(2), "y", "second", **how),
    ]
    shape = ["N", 3, 4, 4] if op == "Conv" else ["N", 3]
    arrays = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    return model_of(nodes, {"x": shape}, {"y": [shape[0], 5, *shape[2:]]}, arrays)


def without(net: ir.Model, *indices: int) -> tuple[ir.Model, dict[str, list[int]]]:
    (group,) = channel_groups(net).groups
    weight = next(part.initializer for part in group.channels[0].parts if part.role == "output")
    return cut(net, [group.channels[index] for index in indices]), {weight: list(indices)}


def inputs(net: ir.Model, rows: int = 200) -> Any:
    shape = [d for d in net.graph.inputs[0].shape or () if isinstance(d, int)]
    return np.random.default_rng(1).normal(size=(rows, *shape)).astype(np.float32)


@pytest.mark.parametrize("op", CHAINS)
@pytest.mark.parametrize("biased", [True, False])
def test_what_the_rest_can_express_is_restored_exactly(tmp_path: Path, op: str, biased: bool) -> None:
    """Channels that are affine combinations of the others: after the repair nothing has changed.

    Within 1 % of the outputs' size, which is what the smallest damping of the system costs.
    """
    net = chain(op, biased=biased)
    smaller, gone = without(net, 4, 5)
    x = inputs(net)
    before = np.abs(run(smaller, {"x": x}) - run(net, {"x": x})).max()
    reconstruct(net, smaller, gone, samples(tmp_path, net, x=x), [], lambda _: None)
    whole = run(net, {"x": x})
    assert before > 0.3 * np.abs(whole).max()
    assert np.abs(run(smaller, {"x": x}) - whole).max() <= 0.01 * np.abs(whole).max()


def digits_halved() -> tuple[ir.Model, ir.Model, dict[str, list[int]]]:
    net = digits_net()
    groups = channel_groups(net).groups
    lost = [channel for group in groups for channel in group.channels[::2]]
    gone = {
        part.initializer: list(range(0, len(group.channels), 2))
        for group in groups
        for part in group.channels[0].parts
        if part.role == "output"
    }
    return net, cut(net, lost), gone


def error(net: ir.Model, other: ir.Model, x: Any) -> float:
    return float(((run(net, {"image": x}) - run(other, {"image": x})) ** 2).mean())


def test_repair_lowers_the_error_of_every_layer_and_of_the_network_on_unseen_rows(tmp_path: Path) -> None:
    """Half of all channels of a classifier of digits: at most half the squared error of its outputs."""
    net, smaller, gone = digits_halved()
    data = digits_samples(tmp_path)
    unseen = next(data.draw(1797, 0).batches(1797))["image"][1000:]
    before = error(net, smaller, unseen)
    found = reconstruct(net, smaller, gone, data.take(1000), [], lambda _: None)
    assert error(net, smaller, unseen) <= 0.5 * before
    assert [each.name for each in found] == ["conv1", "conv2", "head/gemm"]
    assert all(each.after <= each.before for each in found)
    assert found[1].after < 0.9 * found[1].before


def test_excluded_layers_and_those_before_the_cut_stay(tmp_path: Path) -> None:
    net, smaller, gone = digits_halved()
    initializers = smaller.graph.initializers
    values = {name: initializers[name].const_value.numpy().copy() for name in ("w1", "w3")}  # type: ignore[union-attr]
    reconstruct(net, smaller, gone, digits_samples(tmp_path).take(300), ["head/*"], lambda _: None)
    after = {name: initializers[name].const_value.numpy() for name in values}  # type: ignore[union-attr]
    for name, value in values.items():
        np.testing.assert_array_equal(after[name], value)


def test_a_fit_that_does_not_help_on_held_out_rows_is_not_taken(tmp_path: Path) -> None:
    """Nothing was cut that matters: the weights are right already, and no fit can be better."""
    net = chain("Gemm")
    (group,) = channel_groups(net).groups
    weight = net.graph.initializers["w2"].const_value
    assert weight is not None
    dead = weight.numpy().copy()
    dead[:, 5] = 0
    net.graph.initializers["w2"].const_value = ir.tensor(dead, name="w2")
    smaller = cut(net, [group.channels[5]])
    x = inputs(net)
    found = reconstruct(net, smaller, {"w1": [5]}, samples(tmp_path, net, x=x), [], lambda _: None)
    assert all(isinstance(each, Reconstruction) and each.after <= each.before + 1e-6 for each in found)
    np.testing.assert_allclose(run(smaller, {"x": x}), run(net, {"x": x}), rtol=1e-3, atol=1e-3)


def test_of_layers_one_behind_the_other_each_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each batch, in both networks: the time of a fit does not grow with the square of the depth."""
    runs: list[str] = []

    class Counting(Observer):
        def __init__(self, made: ir.Model, values: list[str]) -> None:
            super().__init__(made, values)
            self.layers = [str(node.name) for node in made.graph if node.op_type == "Gemm"]

        def observe(self, fed: Fed) -> list[Any]:
            runs.extend(self.layers)
            return super().observe(fed)

    depth, width, rng = 8, 6, np.random.default_rng(0)
    weights = {f"w{n}": rng.normal(size=(width, width)).astype(np.float32) for n in range(depth)}
    nodes = [
        node("Gemm", f"{'x' if n == 0 else f'h{n}'} w{n}", f"h{n + 1}", f"layer{n}", transB=1)
        for n in range(depth)
    ]
    net = model_of(nodes, {"x": ["N", width]}, {f"h{depth}": ["N", width]}, weights)
    groups = channel_groups(net).groups
    smaller = cut(net, [group.channels[0] for group in groups])
    gone = {part.initializer: [0] for g in groups for part in g.channels[0].parts if part.role == "output"}
    monkeypatch.setattr(stages, "Observer", Counting)
    data = samples(tmp_path, net, x=rng.normal(size=(40, width)).astype(np.float32))
    fitted = reconstruct(net, smaller, gone, data, [], lambda _: None)
    assert len(fitted) == depth
    batches = 40 // (40 // MIN_BATCHES)
    assert max(runs.count(name) for name in runs) <= 2 * (batches + 1)  # one more finds how large values are
