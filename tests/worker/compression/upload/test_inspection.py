"""Inspection from end to end: what is ready and what is refused, for every format."""

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from app.admission.inputs import parse_input
from tests.support import graphs
from tests.support.digits import digits
from tests.support.ort import largest_difference, run
from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFormat
from worker.compression.upload.inspection import Inspected, inspect_model, open_model

SHARED = Path(__file__).parents[5] / "shared" / "models"
CAP = 2**30


def inspect(path: Path, scratch: Path, format: ModelFormat = "onnx", *declared: str) -> Inspected:
    scratch.mkdir(exist_ok=True)
    specs = [parse_input(text) for text in declared]
    return inspect_model(path, format, specs, scratch, allow_torchscript=True, max_unpacked_bytes=CAP)


def refusal(path: Path, scratch: Path, format: ModelFormat = "onnx") -> Refusal:
    with pytest.raises(Refusal) as caught:
        inspect(path, scratch, format)
    return caught.value


def written(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "0a1b2c"  # a blob has no suffix
    path.write_bytes(model.SerializeToString())
    return path


def test_an_onnx_upload_is_taken_as_it_is(tmp_path: Path) -> None:
    path = written(graphs.with_constant_nodes(), tmp_path)
    inspected = inspect(path, tmp_path / "scratch")
    assert inspected.converted is None
    assert inspected.unpacked_bytes is None
    assert inspected.facts.parameters == 898
    assert [layer.name for layer in inspected.facts.layers] == ["conv1", "conv2", "fc"]
    assert open_model(path, tmp_path, max_unpacked_bytes=CAP) == path


def test_the_facts_tell_what_the_file_consists_of_and_which_channels_can_be_cut(tmp_path: Path) -> None:
    """conv1 makes the channels that conv2 reads, conv2 those that fc reads, several of its inputs for each."""
    facts = inspect(digits(tmp_path).model, tmp_path / "scratch").facts
    assert facts.stored is not None
    assert facts.channel_groups is not None
    weights = {facts.layers[place].name: w for w in facts.stored.weights for place in w.readers}
    assert sum(w.count * int(np.prod(w.shape)) for w in facts.stored.weights if w.learnt) == facts.parameters
    producers = [facts.layers[place].name for group in facts.channel_groups for place in group.producers]
    assert producers == ["conv1", "conv2"]
    for number, (producer, consumer) in enumerate((("conv1", "conv2"), ("conv2", "fc"))):
        channels = facts.channel_groups[number].channels
        assert weights[producer].channels[0] == [(number, channels)]
        assert number in {group for axis in weights[consumer].channels for group, _ in axis}


def test_an_archive_is_unpacked_each_time_it_is_opened(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    graphs.with_external_data(source)
    path = tmp_path / "blob"
    with zipfile.ZipFile(path, "w") as archive:
        for file in source.iterdir():
            archive.write(file, f"model/{file.name}")
    inspected = inspect(path, tmp_path / "scratch")
    assert inspected.unpacked_bytes == sum(file.stat().st_size for file in source.iterdir())
    assert inspected.facts.parameters == 64 * 32 + 32 + 320 + 10
    first = open_model(path, tmp_path / "scratch", max_unpacked_bytes=CAP)
    second = open_model(path, tmp_path / "scratch", max_unpacked_bytes=CAP)
    assert first != second
    feeds = graphs.feeds(graphs.mlp())
    assert largest_difference(run(graphs.mlp(), feeds), run(first, feeds)) == 0


def test_an_archive_whose_data_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    path = graphs.with_external_data(source)
    with zipfile.ZipFile(tmp_path / "blob", "w") as archive:
        archive.write(path, "a/model.onnx")
        archive.write(source / "model.data", "b/model.data")
    assert refusal(tmp_path / "blob", tmp_path / "scratch").problem.code == "unsafe_external_data"


def test_what_onnx_runtime_refuses_is_refused_with_its_reason_and_without_paths(tmp_path: Path) -> None:
    model = graphs.mlp()
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w1", TensorProto.FLOAT, [2, 2], [1, 2, 3, 4]))
    problem = refusal(written(model, tmp_path), tmp_path / "scratch").problem
    assert problem.code == "model_does_not_run"
    assert "layer1" in problem.detail
    assert str(tmp_path) not in problem.detail


def test_a_graph_the_checker_refuses_is_invalid(tmp_path: Path) -> None:
    model = graphs.mlp()
    model.graph.node[0].input[0] = "nobody"
    assert refusal(written(model, tmp_path), tmp_path / "scratch").problem.code in (
        "invalid_model",
        "model_does_not_run",
    )


@pytest.mark.parametrize("seed", range(8))
def test_bytes_that_were_damaged_are_read_or_refused_but_never_fail(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(graphs.dirty().SerializeToString())
    for round_ in range(12):
        damaged = bytearray(content)
        for position in rng.integers(0, len(damaged), 3):
            damaged[position] = rng.integers(0, 256)
        path = tmp_path / f"damaged{round_}"
        path.write_bytes(damaged)
        try:
            inspect(path, tmp_path / "scratch")
        except Refusal as caught:
            assert caught.problem.detail  # noqa: PT017


@pytest.mark.parametrize("path", sorted(SHARED.glob("*.onnx")), ids=lambda path: path.stem)
def test_published_models_are_ready(path: Path, tmp_path: Path) -> None:
    facts = inspect(path, tmp_path / "scratch").facts
    assert facts.quantized is ("int8" in path.name)
    assert facts.layers
    assert facts.parameters > 20_000


@pytest.mark.skipif(not SHARED.exists(), reason="shared/ is not here")
def test_three_formats_of_one_network_are_one_network(tmp_path: Path) -> None:
    image = {"image": np.random.default_rng(0).random((4, 1, 28, 28), np.float32)}
    expected = run(SHARED / "lenet5-mnist.onnx", image)
    pt2 = inspect(SHARED / "lenet5-mnist.pt2", tmp_path / "a", "torch_export")
    script = inspect(
        SHARED / "lenet5-mnist.torchscript.pt", tmp_path / "b", "torchscript", "image:float32[N,1,28,28]"
    )
    for inspected in (pt2, script):
        assert inspected.converted is not None
        assert (inspected.facts.parameters, inspected.facts.macs) == (61_706, 416_520)
        name = inspected.facts.inputs[0].name
        assert largest_difference(expected, run(inspected.converted, {name: image["image"]})) <= 1e-4
        assert inspected.converted.stat().st_size == pytest.approx(
            (SHARED / "lenet5-mnist.onnx").stat().st_size, rel=0.03
        )


@pytest.mark.skipif(not SHARED.exists(), reason="shared/ is not here")
def test_the_published_model_that_needs_a_library_is_refused_by_its_operators(tmp_path: Path) -> None:
    problem = refusal(SHARED / "negative" / "needs_ortextensions_customop.onnx", tmp_path / "scratch").problem
    assert problem.code == "custom_operator"
    assert "DecodeImage" in problem.detail
    assert "com.microsoft.extensions" in problem.detail
