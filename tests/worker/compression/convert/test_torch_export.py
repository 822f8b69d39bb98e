"""`.pt2`: honest programs become ONNX; files that would run something are refused, and nothing runs."""

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.contract.errors import Refusal
from tests.support.ort import largest_difference, run
from tests.worker.compression.convert.conftest import Payload
from worker.compression.convert import torch_export
from worker.compression.graph import store

torch = pytest.importorskip("torch")

Files = dict[str, bytes]
CAP = 2**30
SAMPLE = "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
PROGRAM = "models/model.json"


def test_outputs_are_those_of_the_program_and_the_batch_stays_open(
    exported: Path, images: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    target = tmp_path / "model.onnx"
    torch_export.convert(exported, target, max_bytes=CAP)
    model = store.load(target)
    assert [value.name for value in model.graph.inputs] == ["image"]
    assert not isinstance(model.graph.inputs[0].shape[0], int)
    assert largest_difference([expected], run(target, {"image": images})) <= 1e-4


def test_one_clean_file_is_written(exported: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "model.onnx"
    target.parent.mkdir()
    torch_export.convert(exported, target, max_bytes=CAP)
    assert [file.name for file in target.parent.iterdir()] == ["model.onnx"]
    model = store.load(target)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph)
    assert b"conftest.py" not in target.read_bytes()


# --- attacks --------------------------------------------------------------------------------------------------------


def changed(source: Path, target: Path, change: Callable[[Files], None]) -> Path:
    """The archive with its files changed; names are given without the top folder."""
    with zipfile.ZipFile(source) as archive:
        top = archive.namelist()[0].partition("/")[0]
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{top}/{name}", content)
    return target


def edited(files: Files, name: str, edit: Callable[[Any], None]) -> None:
    document = json.loads(files[name])
    edit(document)
    files[name] = json.dumps(document).encode()


def saved(payload: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    return buffer.getvalue()


def constant(files: Files, path_name: str, content: bytes, *, use_pickle: bool) -> None:
    weights = json.loads(files[WEIGHTS])["config"]
    entry = {**next(iter(weights.values())), "path_name": path_name, "use_pickle": use_pickle}
    edited(files, CONSTANTS, lambda document: document["config"].update(evil=entry))
    files[f"data/constants/{path_name}"] = content


def pickled_weight(files: Files, payload: bytes) -> None:
    def point(document: Any) -> None:
        first = next(iter(document["config"].values()))
        first["use_pickle"] = True
        files[f"data/weights/{first['path_name']}"] = payload

    edited(files, WEIGHTS, point)


PICKLES: dict[str, Callable[[Files, Payload], None]] = {
    "sample inputs, bare pickle": lambda f, p: f.update({SAMPLE: pickle.dumps(p, protocol=2)}),
    "sample inputs, protocol 4": lambda f, p: f.update({SAMPLE: pickle.dumps(p, protocol=4)}),
    "sample inputs, saved by torch": lambda f, p: f.update({SAMPLE: saved(((p,), {}))}),
    "a weight": lambda f, p: pickled_weight(f, saved(p)),
    "all weights, the old way": lambda f, p: f.update({"data/weights/model.pt": saved({"w": p})}),
    "all constants, the old way": lambda f, p: f.update({"data/constants/model.pt": saved({"c": p})}),
    "a constant": lambda f, p: constant(f, "tensor_0", saved(p), use_pickle=True),
    "an opaque constant": lambda f, p: constant(f, "opaque_obj_0", pickle.dumps(p), use_pickle=True),
    "a custom object": lambda f, p: constant(f, "custom_obj_0", pickle.dumps(p), use_pickle=True),
}


@pytest.mark.parametrize("place", PICKLES)
def test_a_planted_pickle_is_refused_and_does_not_run(
    place: str, exported: Path, marker: Path, tmp_path: Path
) -> None:
    attack = changed(exported, tmp_path / "attack.pt2", lambda files: PICKLES[place](files, Payload(marker)))
    with pytest.raises(Refusal) as caught:
        torch_export.convert(attack, tmp_path / "model.onnx", max_bytes=CAP)
    assert caught.value.problem.code == "pickle_refused"
    assert "torch.export.save" in caught.value.problem.detail
    assert not marker.exists()


@pytest.mark.parametrize("place", PICKLES)
def test_the_loader_itself_runs_no_pickle_either(
    place: str, exported: Path, marker: Path, tmp_path: Path
) -> None:
    """Behind the gate: if a file slipped through it, loading would still not unpickle."""
    attack = changed(exported, tmp_path / "attack.pt2", lambda files: PICKLES[place](files, Payload(marker)))
    with pytest.raises(Refusal) as caught:
        torch_export._load(attack)
    assert caught.value.problem.code == "pickle_refused"
    assert not marker.exists()


def test_the_attack_is_real(exported: Path, marker: Path, tmp_path: Path) -> None:
    """Without our defences torch runs it. Should this ever fail, torch has become safer."""
    plant = PICKLES["sample inputs, saved by torch"]
    attack = changed(exported, tmp_path / "attack.pt2", lambda files: plant(files, Payload(marker)))
    with attack.open("rb") as file, contextlib.suppress(Exception):
        torch.export.load(file)
    assert marker.exists()


def symbols(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, list):
        return [found for item in document for found in symbols(item)]
    if not isinstance(document, dict):
        return []
    found = [found for item in document.values() for found in symbols(item)]
    return [*found, document] if "expr_str" in document else found


def evil_shape(files: Files, marker: Path) -> None:
    code = f"().__class__.__base__.__subclasses__() and open({str(marker)!r}, 'w')"
    edited(files, PROGRAM, lambda document: [s.update(expr_str=code) for s in symbols(document)])


def evil_operator(files: Files, marker: Path) -> None:
    def edit(document: Any) -> None:
        node = document["graph_module"]["graph"]["nodes"][0]
        node["target"] = "torch.os.mknod"
        node["inputs"] = [{"name": "path", "arg": {"as_string": str(marker)}, "kind": 1}]

    edited(files, PROGRAM, edit)


def file_operator(files: Files, marker: Path) -> None:
    edited(
        files,
        PROGRAM,
        lambda document: document["graph_module"]["graph"]["nodes"][0].update(
            target="torch.ops.aten.from_file.default"
        ),
    )


def evil_tree(files: Files, marker: Path) -> None:
    spec = json.dumps(
        [1, {"type": None, "context": json.dumps({"__enum__": True, "fqn": "os:x", "name": "y"})}]
    )
    edited(
        files,
        PROGRAM,
        lambda document: document["graph_module"]["module_call_graph"][0]["signature"].update(in_spec=spec),
    )


def library(files: Files, marker: Path) -> None:
    files["data/aotinductor/model/code.so"] = b"\x7fELF"


@pytest.mark.parametrize("plant", [evil_shape, evil_operator, file_operator, evil_tree, library])
def test_other_ways_to_run_something_are_refused(
    plant: Callable[[Files, Path], None], exported: Path, marker: Path, tmp_path: Path
) -> None:
    attack = changed(exported, tmp_path / "attack.pt2", lambda files: plant(files, marker))
    with pytest.raises(Refusal) as caught:
        torch_export.convert(attack, tmp_path / "model.onnx", max_bytes=CAP)
    assert caught.value.problem.code == "invalid_model"
    assert not marker.exists()


def test_guards_are_not_run(exported: Path, marker: Path, tmp_path: Path) -> None:
    code = f"open({str(marker)!r}, 'w')"
    attack = changed(
        exported,
        tmp_path / "attack.pt2",
        lambda files: edited(files, PROGRAM, lambda document: document.update(guards_code=[code])),
    )
    torch_export.convert(attack, tmp_path / "model.onnx", max_bytes=CAP)
    assert not marker.exists()


# --- what is no program ---------------------------------------------------------------------------------------------


def test_a_pickled_module_is_refused(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "module.pt2"
    torch.save(network, path)
    assert refused(path, tmp_path) == ("pickle_refused", True)


def test_a_state_dict_is_refused_with_what_to_do(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt2"
    torch.save(network.state_dict(), path)
    assert refused(path, tmp_path) == ("pickle_refused", True)


def test_the_oldest_pickles_are_refused(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt2"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    assert refused(path, tmp_path) == ("pickle_refused", True)


def test_a_zip_of_anything_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "zip.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/readme.txt", "hello")
    assert refused(path, tmp_path) == ("invalid_model", True)


def test_a_truncated_program_is_refused(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pt2"
    path.write_bytes(exported.read_bytes()[:-200])
    assert refused(path, tmp_path) == ("invalid_model", False)


def test_a_program_that_makes_no_sense_is_refused(exported: Path, tmp_path: Path) -> None:
    broken = changed(
        exported,
        tmp_path / "broken.pt2",
        lambda files: edited(files, PROGRAM, lambda document: document.clear()),
    )
    assert refused(broken, tmp_path)[0] == "conversion_failed"


def test_a_zip_bomb_is_refused(exported: Path, tmp_path: Path) -> None:
    path = changed(exported, tmp_path / "bomb.pt2", lambda files: None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            f"{archive.namelist()[0].partition('/')[0]}/data/weights/weight_9", b"\0" * 100_000_000
        )
    assert refused(path, tmp_path)[0] == "unsafe_archive"


def refused(path: Path, folder: Path) -> tuple[str, bool]:
    """The code, and whether the sentence says how to save the model instead."""
    with pytest.raises(Refusal) as caught:
        torch_export.convert(path, folder / "model.onnx", max_bytes=CAP)
    return caught.value.problem.code, "torch.export.save" in caught.value.problem.detail
