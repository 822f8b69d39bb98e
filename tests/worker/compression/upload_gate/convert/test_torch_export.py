"""`.pt2`: honest programs become ONNX; files that would run something are refused, and nothing runs."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.attacks import pickles
from tests.support.ort import largest_difference, run
from winnow.contract.errors import Refusal
from worker.compression.onnx_files import model_files
from worker.compression.upload_gate.convert import torch_export

torch = pytest.importorskip("torch")

Files = dict[str, bytes]
CAP = 2**30
PROGRAM = "models/model.json"


@pytest.fixture(scope="module")
def converted(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a folder of its own."""
    target = tmp_path_factory.mktemp("converted") / "model.onnx"
    torch_export.convert(exported, target, max_bytes=CAP)
    return target


def test_outputs_are_those_of_the_program_and_the_batch_stays_open(
    converted: Path, images: np.ndarray, expected: np.ndarray
) -> None:
    model = model_files.load(converted)
    assert [value.name for value in model.graph.inputs] == ["image"]
    assert not isinstance(model.graph.inputs[0].shape[0], int)
    assert largest_difference([expected], run(converted, {"image": images})) <= 1e-4


def test_one_clean_file_is_written(converted: Path) -> None:
    assert [file.name for file in converted.parent.iterdir()] == ["model.onnx"]
    model = model_files.load(converted)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph)
    assert b"conftest.py" not in converted.read_bytes()


# --- what is changed -----------------------------------------------------------------------------------------------


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


def test_an_archive_without_a_weight_is_refused_by_its_name(exported: Path, tmp_path: Path) -> None:
    attack = changed(exported, tmp_path / "attack.pt2", lambda files: files.pop("data/weights/weight_0"))
    assert refused(attack, tmp_path) == ("invalid_model", True)


@pytest.mark.parametrize(
    "place", ["sample inputs, as torch saves", "a weight", "a constant", "all weights, the old way"]
)
def test_the_loader_itself_runs_no_pickle_either(place: str, tmp_path: Path) -> None:
    """Behind the rebuilding: if a pickle came through, loading would still not unpickle."""
    attack, marker = tmp_path / "attack.pt2", tmp_path / "marker"
    attack.write_bytes(pickles.ATTACKS[place](marker))
    with pytest.raises(Refusal) as caught:
        torch_export._load(attack)
    assert caught.value.problem.code == "pickle_refused"
    assert not marker.exists()


def test_a_program_for_another_device_is_converted_here(
    exported: Path, images: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    """What a program says of the device it was exported on is not where it has to run."""

    def on_gpu(files: Files) -> None:
        for name in (PROGRAM, "data/weights/model_weights_config.json"):
            files[name] = files[name].replace(
                b'{"type": "cpu", "index": null}', b'{"type": "cuda", "index": 0}'
            )

    target = tmp_path / "model.onnx"
    torch_export.convert(changed(exported, tmp_path / "gpu.pt2", on_gpu), target, max_bytes=CAP)
    assert largest_difference([expected], run(target, {"image": images})) <= 1e-4


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
    assert refused(broken, tmp_path) == ("invalid_model", True)


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
