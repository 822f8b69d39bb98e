"""Whether answers depend on how far inputs are padded, of data that is padded when it is read, or came padded."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.ragged import encoder, opened, rows
from tests.support.small_nets import model, samples
from winnow.contract.recipe import Int8Dynamic
from winnow.contract.robustness import Invariance
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.measure.network import Network
from worker.compression.measure.robustness.dependence import NotMeasured
from worker.compression.measure.robustness.padding import measure_padding
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.steps.context import Context


def measured(before: ir.Model, after: ir.Model, folder: Path, data: Samples | None) -> Invariance:
    networks = []
    for name, net in (("before", before), ("after", after)):
        model_files.save(net, folder / f"{name}.onnx")
        networks.append(Network(folder / f"{name}.onnx", 1, name))
    return measure_padding((networks[0], networks[1]), data, "evaluation", 0)


def dynamic(net: ir.Model, folder: Path) -> ir.Model:
    step = Int8Dynamic.model_validate({"kind": "int8_dynamic"})
    return apply(net.clone(), step, Context(folder, 0, Silent())).model


def padding_is_loud() -> ir.Model:
    """An encoder whose padding, token 0, has the largest entry of the table."""
    net = encoder()
    table = net.graph.initializers["table"]
    numbers = table.const_value.numpy().copy()  # type: ignore[union-attr]
    numbers[0] *= 20
    table.const_value = ir.tensor(numbers, name="table")
    return net


def array_samples(folder: Path, net: ir.Model, padded: bool) -> Samples:
    """Tokens and masks that are as wide as the longest in the file, or that are all full."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, 12) if padded else np.full(12, 9)
    mask = (np.arange(9) < lengths[:, None]).astype(np.int64)
    return samples(folder, net, tokens=rng.integers(0, 11, (12, 9)) * mask, mask=mask)


def test_a_mask_keeps_padding_out_of_floats_and_dynamic_ranges_let_it_in(tmp_path: Path) -> None:
    """What stands at padded positions is in the range that all positions are quantized by."""
    net = padding_is_loud()
    seen = measured(net, dynamic(net, tmp_path), tmp_path, opened(tmp_path / "data", net, rows()))
    assert seen.before is not None
    assert seen.after is not None
    assert not seen.before.depends
    assert (seen.before.max_relative_error or 0) < 1e-5
    assert seen.after.depends
    assert 1 < seen.samples <= 4
    assert "depends on how far" in seen.says


@pytest.mark.parametrize("padded", [True, False])
def test_arrays_with_a_mask_are_cut_to_it_or_filled_behind_it(padded: bool, tmp_path: Path) -> None:
    net = padding_is_loud()
    seen = measured(net, dynamic(net, tmp_path), tmp_path, array_samples(tmp_path / "data", net, padded))
    assert seen.before is not None
    assert seen.after is not None
    assert not seen.before.depends
    assert seen.after.depends


def test_a_model_that_does_not_look_at_its_mask_depends_on_padding(tmp_path: Path) -> None:
    net = model(
        """(float[N,L] x, float[N,L] mask) => (float[N,1] y) {
            both = Add (x, mask)
            [mean] y = ReduceMean <axes=[1]> (both)
        }"""
    )
    mask = (np.arange(6) < np.array([[2], [4], [6]])).astype(np.float32)
    data = samples(tmp_path / "data", net, x=np.ones((3, 6), np.float32), mask=mask)
    seen = measured(net, net.clone(), tmp_path, data)
    assert seen.before is not None
    assert seen.before.depends
    assert seen.samples == 2


def test_what_has_no_mask_or_no_open_length_says_so(tmp_path: Path) -> None:
    plain = model("(float[N,4] x) => (float[N,4] y) { [more] y = Add (x, x) }")
    with pytest.raises(NotMeasured, match="no input of the model is a mask"):
        measured(
            plain, plain.clone(), tmp_path, samples(tmp_path / "a", plain, x=np.ones((4, 4), np.float32))
        )
    fixed = encoder(9)
    with pytest.raises(NotMeasured, match="fixes the length"):
        measured(fixed, fixed.clone(), tmp_path, opened(tmp_path / "b", fixed, rows(), 9))
    with pytest.raises(NotMeasured, match="Without data"):
        measured(plain, plain.clone(), tmp_path, None)
