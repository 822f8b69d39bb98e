"""What is proposed for real models and data, and what is said to be sure."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from tests.support.digits import digits
from tests.support.graphs import parse
from tests.support.pictures import encoded, zip_of
from winnow.contract.errors import Refusal
from winnow.contract.inquiry import Proposal
from worker.compression.proposal.propose import propose

CAP = 2**30


def saved(
    path: Path, shape: list[int | str], output: list[int | str], dtype: int = TensorProto.FLOAT
) -> Path:
    """A model that answers with zeros of the output's shape: its signature is what matters."""
    sizes = [size if isinstance(size, int) else 1 for size in output]
    zeros = helper.make_tensor("z", TensorProto.FLOAT, [], [0.0])
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
        helper.make_node("Mul", ["m", "z"], ["n"]),
        helper.make_node("Expand", ["n", "s"], ["y"]),
    ]
    target = helper.make_tensor("s", TensorProto.INT64, [len(sizes)], sizes)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [zeros, target],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def proposed(model: Path, data: Path, scratch: Path) -> tuple[Proposal, dict[str, Any], dict[str, bool]]:
    """The proposal, its declaration as JSON without defaults, and what of it is sure."""
    proposal = propose(data, model, scratch, max_unpacked_bytes=CAP)
    declared = proposal.declaration.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return proposal, declared, {part.path: part.sure for part in proposal.parts}


def test_digits_as_arrays_are_scaled_as_the_model_learnt_them(tmp_path: Path) -> None:
    """The labels decide: 0 to 16 as 0 to 1."""
    files = digits(tmp_path)
    proposal, declared, sure = proposed(files.model, files.data, tmp_path)
    assert declared == {
        "inputs": {"image": {"array": "images", "add_axis": 1, "scale": 1 / 16}},
        "targets": {"array": "labels"},
    }
    assert proposal.sure
    assert sure.keys() == {"targets", "inputs.image", "inputs.image.add_axis", "inputs.image.scale"}
    (scale,) = (part for part in proposal.parts if part.path == "inputs.image.scale")
    assert "labelled samples" in scale.because
    assert "are answered right with numbers from 0 to 16 as 0 to 1" in scale.because
    assert proposal.notes == []


def test_digits_as_a_folder_for_each_class_are_read_as_pictures(tmp_path: Path) -> None:
    files = digits(tmp_path)
    with np.load(files.data) as archive:
        members = {
            f"{label}/{row}.png": encoded((image * 15).astype(np.uint8))
            for row, (image, label) in enumerate(
                zip(archive["images"][:200], archive["labels"], strict=False)
            )
        }
    proposal, declared, sure = proposed(files.model, zip_of(tmp_path / "d.zip", members), tmp_path)
    image = declared["inputs"]["image"]
    assert (image["from"], image["color"], image["scale"]) == ("image", "grey", 1 / 255)
    assert image["resize"] == {"mode": "exact", "size": [8, 8]}
    assert declared["targets"] == {"from": "folder"}
    assert proposal.sure, sure


def test_labels_that_the_model_does_not_agree_with_are_doubted(tmp_path: Path) -> None:
    files = digits(tmp_path)
    with np.load(files.data) as archive:
        mixed = np.random.default_rng(0).permutation(archive["labels"])
        np.savez(tmp_path / "mixed.npz", images=archive["images"], labels=mixed)
    proposal, _, sure = proposed(files.model, tmp_path / "mixed.npz", tmp_path)
    assert not proposal.sure
    assert not sure["targets"]
    assert not sure["inputs.image.scale"]
    assert "which is what guessing reaches" in proposal.notes[0]


def test_without_labels_the_scale_is_a_guess(tmp_path: Path) -> None:
    files = digits(tmp_path)
    with np.load(files.data) as archive:
        np.savez(tmp_path / "bare.npz", images=archive["images"])
    proposal, declared, sure = proposed(files.model, tmp_path / "bare.npz", tmp_path)
    assert "targets" not in declared
    assert not sure["inputs.image.scale"]
    assert sure["inputs.image.add_axis"]
    assert not proposal.sure


def test_two_arrays_that_fit_are_a_guess(tmp_path: Path) -> None:
    files = digits(tmp_path)
    with np.load(files.data) as archive:
        images, labels = archive["images"], archive["labels"]
        halves = {
            "x_train": images[:1000],
            "y_train": labels[:1000],
            "x_test": images[1000:],
            "y_test": labels[1000:],
        }
        np.savez(tmp_path / "both.npz", **halves)
    _, declared, sure = proposed(files.model, tmp_path / "both.npz", tmp_path)
    assert declared["inputs"]["image"]["array"] == "x_train"
    assert declared["targets"] == {"array": "y_train"}
    assert not sure["inputs.image"]
    assert sure["inputs.image.scale"]


def test_channels_behind_the_pixels_are_moved_where_only_that_fits(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.onnx", ["N", 3, 6, 5], [1, 4])
    np.savez(tmp_path / "d.npz", pixels=np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), np.uint8))
    _, declared, sure = proposed(model, tmp_path / "d.npz", tmp_path)
    assert declared["inputs"]["x"]["layout"] == "NHWC->NCHW"
    assert declared["inputs"]["x"]["mean"] == [0.485, 0.456, 0.406]
    assert sure["inputs.x.layout"]


def test_numbers_that_are_prepared_are_left_as_they_are(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.onnx", ["N", 3, 6, 5], [1, 4])
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).standard_normal((9, 3, 6, 5)).astype(np.float32))
    proposal, declared, _ = proposed(model, tmp_path / "d.npz", tmp_path)
    assert declared == {"inputs": {"x": {"array": "x"}}}
    assert proposal.sure


@pytest.mark.parametrize(
    ("output", "color", "place", "scale"),
    [
        ([1, 84, 85], "BGR", "corner", 1.0),
        ([1, 252, 85], "RGB", "center", 1 / 255),
        ([1, 84, 84], "BGR", "corner", 1.0),
        ([1, 24, 84], "RGB", "center", 1 / 255),
    ],
)
def test_a_detector_is_fed_as_its_family_is(
    tmp_path: Path, output: list[int | str], color: str, place: str, scale: float
) -> None:
    """64 × 64 pixels have 64 + 16 + 4 cells."""
    model = saved(tmp_path / "m.onnx", [1, 3, 64, 64], output)
    pictures = {f"{row}.png": encoded(np.full((40 + row, 50, 3), 90, np.uint8)) for row in range(3)}
    proposal, declared, _ = proposed(model, zip_of(tmp_path / "p.zip", pictures), tmp_path)
    image = declared["inputs"]["x"]
    assert image.get("color", "RGB") == color
    assert image["letterbox"].get("place", "center") == place
    assert image.get("scale") == scale
    assert proposal.sure
    assert proposal.notes == []  # its family says that pixels are right


def test_data_that_cannot_be_the_input_is_refused_with_what_there_is(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.onnx", ["N", 3, 6, 5], [1, 4])
    np.savez(tmp_path / "d.npz", x=np.zeros((9, 7), np.float32))
    with pytest.raises(Refusal, match=r"can be .* 'x' .* it has x \(float32 \[9, 7\]\)") as refused:
        propose(tmp_path / "d.npz", model, tmp_path, max_unpacked_bytes=CAP)
    assert refused.value.problem.code == "inputs_do_not_fit"


def test_a_state_is_carried_along_windows_of_a_sound_and_is_no_sound_itself(tmp_path: Path) -> None:
    net = parse(
        """(float[batch, sequence] input, float[2, batch, 4] state, int64 sr)
           => (float[batch, 1] output, float[2, batch, 4] stateN)
        {
            output = ReduceMean<axes=[1], keepdims=1>(input)
            raised = Add(state, unit)
            rate = Cast<to=1>(sr)
            none = Mul(rate, zero)
            stateN = Add(raised, none)
        }""",
        {"unit": np.float32(1), "zero": np.float32(0)},
        opset=17,
    )
    onnx.save(net, tmp_path / "vad.onnx")
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(4000) / 9).astype(np.float32), 16000)
    _proposal, declaration, sure = proposed(tmp_path / "vad.onnx", tmp_path / "a.wav", tmp_path / "scratch")
    assert declaration["state"] == {"stateN": "state"}
    assert set(declaration["inputs"]) == {"input"}
    assert declaration["inputs"]["input"]["hop"] == declaration["inputs"]["input"]["length"] == 512
    assert declaration["constants"] == {"sr": 16000}
    assert sure["state.stateN"]
    assert not sure["inputs.input.length"]
