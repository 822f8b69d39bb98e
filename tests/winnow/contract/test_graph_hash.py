import hashlib
from pathlib import Path

import onnx
import pytest

from tests.support.graphs import mlp
from winnow.contract.graph_hash import graph_sha256


def saved(path: Path, **metadata: str) -> Path:
    model = mlp()
    onnx.helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path


def test_what_winnow_wrote_does_not_count_and_all_else_does(tmp_path: Path) -> None:
    """Also a key that takes two bytes for its length; a file without any is its own hash."""
    bare = saved(tmp_path / "bare.onnx", author="me")
    whole = hashlib.sha256(bare.read_bytes()).hexdigest()
    ours = {"winnow.speedup": "1.2", f"winnow.cosine.{'y' * 200}": "1", "winnow.recipe": "r" * 300}
    assert graph_sha256(bare) == graph_sha256(saved(tmp_path / "ours.onnx", author="me", **ours)) == whole
    assert graph_sha256(saved(tmp_path / "other.onnx", author="you")) != whole
    assert graph_sha256(saved(tmp_path / "named.onnx", author="me", winnower="x")) != whole


def test_a_user_finds_the_same_with_onnx_alone(tmp_path: Path) -> None:
    model = onnx.load(str(saved(tmp_path / "a.onnx", author="me", **{"winnow.seed": "0"})))
    kept = [entry for entry in model.metadata_props if not entry.key.startswith("winnow.")]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    assert graph_sha256(tmp_path / "a.onnx") == hashlib.sha256(model.SerializeToString()).hexdigest()


@pytest.mark.parametrize("content", [b"\x3a", b"\x3a\x05ab", b"\xff" * 11, b"\x0b"])
def test_what_is_no_message_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ValueError, match="no ONNX file"):
        graph_sha256(tmp_path / "bad.onnx")
