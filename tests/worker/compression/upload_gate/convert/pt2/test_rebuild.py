"""What torch loads is an archive of ours: of every version's files, with nothing else in it, the same each time."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.support.attacks.pt2_files import HONEST, PROGRAM, edited, honest, objects, packed
from tests.support.ort import largest_difference, run
from winnow.contract.errors import Refusal
from worker.compression.onnx_files import model_files
from worker.compression.upload_gate.convert import torch_export
from worker.compression.upload_gate.convert.pt2.read import MAX_EXPRESSIONS, MAX_NODES
from worker.compression.upload_gate.convert.pt2.rebuild import rebuild
from worker.compression.upload_gate.convert.pt2.schema.program import ExportedProgram

torch = pytest.importorskip("torch")
FILES = sorted(HONEST.parent.glob("*.pt2"))


def rebuilt(content: bytes, folder: Path) -> bytes:
    (folder / "upload").write_bytes(content)
    rebuild(folder / "upload", folder / "rebuilt", max_bytes=2**30)
    return (folder / "rebuilt").read_bytes()


def refusal(content: bytes, folder: Path) -> str:
    with pytest.raises(Refusal) as caught:
        rebuilt(content, folder)
    assert caught.value.problem.code == "invalid_model"
    return caught.value.problem.detail


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_every_torch_convert_and_answer_as_they_did(path: Path, tmp_path: Path) -> None:
    """Written by torch 2.10, 2.11 and 2.12; those of 2.13 are exported by the tests beside this one."""
    torch_export.convert(path, target := tmp_path / "model.onnx", max_bytes=2**30)
    image, by = torch.randn(3, 1, 15, 8), torch.tensor([2.0])
    expected = torch.export.load(path).module()(image, {"by": by})
    logits, rows = run(target, {"image": image.numpy(), "scale_by": by.numpy()})
    assert largest_difference([expected["logits"].detach().numpy()], [logits]) <= 1e-4
    assert rows == expected["rows"] == 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_rebuilt_is_rebuilt_as_itself(path: Path, tmp_path: Path) -> None:
    once = rebuilt(path.read_bytes(), tmp_path)
    assert rebuilt(once, tmp_path) == once


def test_nothing_of_the_machine_that_exported_is_in_it(tmp_path: Path) -> None:
    content = rebuilt(HONEST.read_bytes(), tmp_path)
    for word in (b"stack_trace", b"make.py", b"cu130", b"nn_module_stack", b"PK\x07\x08"):
        assert word not in content
    with zipfile.ZipFile(tmp_path / "rebuilt") as archive:
        assert archive.read("model/data/sample_inputs/model.pt") == b""
        assert archive.read("model/data/weights/weight_0") == honest()["data/weights/weight_0"]


@pytest.mark.parametrize(
    ("major", "minor"), [(8, 14), (8, 21), (9, 1), (7, 3), (0, 0), ("8", 15), (8, None), ([8], {})]
)
def test_other_schemas_are_refused_by_number_with_what_to_do(major: Any, minor: Any, tmp_path: Path) -> None:
    content = edited(lambda document: document.update(schema_version={"major": major, "minor": minor}))
    detail = refusal(content, tmp_path)
    assert f"version {major}.{minor}" in detail
    assert "8.15 (torch 2.10)" in detail
    assert "Export it anew" in detail


def test_a_field_that_is_not_known_is_refused_by_its_place(tmp_path: Path) -> None:
    content = edited(lambda document: document["graph_module"]["graph"]["nodes"][3].update(magic=1))
    assert "graph_module.graph.nodes.3: the field 'magic' is not known" in refusal(content, tmp_path)


FAULTS: dict[str, Callable[[Any], object]] = {
    "nodes": lambda document: document["graph_module"]["graph"]["nodes"].extend([0] * 40_000),
    "ranges": lambda document: document["range_constraints"].update({str(n): 0 for n in range(100_000)}),
    "fields": lambda document: document.update({f"x{n}": 0 for n in range(100_000)}),
    "values": lambda document: document["graph_module"]["graph"]["tensor_values"].update(
        {f"v{n}": {} for n in range(50_000)}
    ),
}


@pytest.mark.parametrize("place", FAULTS)
def test_of_many_faults_few_are_collected(place: str) -> None:
    """Each costs more than what was sent for it: 10 MB of them took three minutes and 6 GB."""
    document = json.loads(honest()[PROGRAM])
    FAULTS[place](document)
    with pytest.raises(ValidationError) as caught:
        ExportedProgram.model_validate(document)
    assert caught.value.error_count() <= 10_000


def _branches(document: Any) -> None:
    """Nodes that are too many only with those of all graphs together."""
    graph = document["graph_module"]["graph"]
    inner = {"nodes": [0] * (MAX_NODES // 2)}
    graph["nodes"] += [{"inputs": [{"arg": {"as_graph": {"graph": inner}}}]}] * 2


def _expressions(document: Any) -> None:
    """Characters that are too many only with those of all expressions together."""
    value = {"as_expr": {"expr_str": "Integer(1)" * 1000}}
    document["graph_module"]["graph"]["sym_int_values"] = {
        f"s{n}": value for n in range(MAX_EXPRESSIONS // 10_000 + 1)
    }


@pytest.mark.parametrize("more", [_branches, _expressions])
def test_more_than_torch_can_load_in_time_is_refused_by_counting(
    more: Callable[[Any], None], tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match="are the most") as caught:
        rebuilt(edited(more), tmp_path)
    assert caught.value.problem.code == "model_too_complex"


def test_an_operator_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    content = edited(
        lambda document: document["graph_module"]["graph"]["nodes"][1].update(target="torch.ops.my.op")
    )
    assert "'torch.ops.my.op' is not known" in refusal(content, tmp_path)


def test_a_member_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    assert "'models/model.jsox'" in refusal(packed({**honest(), "models/model.jsox": b"{}"}), tmp_path)


def test_an_archive_of_the_other_byte_order_is_refused(tmp_path: Path) -> None:
    assert "byteorder in the archive says b'big'" in refusal(
        packed({**honest(), "byteorder": b"big"}), tmp_path
    )


def test_extra_files_of_the_user_are_left_out(tmp_path: Path) -> None:
    content = rebuilt(packed({**honest(), "extra/notes.txt": b"my notes"}), tmp_path)
    assert content == rebuilt(HONEST.read_bytes(), tmp_path)


def test_bytes_that_belong_to_no_weight_are_refused(tmp_path: Path) -> None:
    assert "weight_77" in refusal(packed({**honest(), "data/weights/weight_77": b"1234"}), tmp_path)


def test_floats_without_a_number_and_every_hint_come_through(tmp_path: Path) -> None:
    def change(document: Any) -> None:
        node = document["graph_module"]["graph"]["nodes"][0]
        node["inputs"].append({"name": "low", "arg": {"as_float": "-Infinity"}, "kind": 2})

    with zipfile.ZipFile(packed_in(rebuilt(edited(change), tmp_path), tmp_path)) as archive:
        document = json.loads(archive.read(f"model/{PROGRAM}"))
    assert {"as_float": "-Infinity"} in objects(document)
    assert any(entry.get("hint") == {"as_int": 12} for entry in objects(document))


def packed_in(content: bytes, folder: Path) -> Path:
    (folder / "packed").write_bytes(content)
    return folder / "packed"


def test_lenet_predicts_what_it_predicted(tmp_path: Path) -> None:
    """1,000 pictures here, 10,000 in `make bench-hostile`, the prediction of torch on each."""
    shared = Path(__file__).parents[7] / "shared"
    if not (shared / "models" / "lenet5-mnist.pt2").exists():
        pytest.skip("no shared models here")
    source = shared / "models" / "lenet5-mnist.pt2"
    torch_export.convert(source, target := tmp_path / "model.onnx", max_bytes=2**30)
    images = np.load(shared / "data" / "mnist.npz")["x_test"][:1000].reshape(-1, 1, 28, 28)
    assert differences(source, target, images.astype(np.float32) / 255) == 0


def differences(source: Path, target: Path, images: np.ndarray) -> int:
    """How many predictions of the ONNX file differ from those of the program that it was made of."""
    (name,) = (value.name for value in model_files.load(target).graph.inputs)
    with torch.no_grad():
        expected = torch.export.load(source).module()(torch.from_numpy(images)).numpy()
    return int((run(target, {name: images})[0].argmax(1) != expected.argmax(1)).sum())
