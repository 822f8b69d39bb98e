"""Tables, texts and sounds in the real child, with every layer that this kernel has: nothing they need is refused."""

from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.ragged import encoder
from tests.support.sounds import encoded, sound
from tests.support.tasks import compress_task
from tests.support.tokenizer import archive, lines, tokenizer
from tests.worker.child.test_real_work import LIMITS, Watcher, attempt
from winnow.contract.declaration import Declaration
from winnow.contract.report import Report
from worker.child.endings import Finished
from worker.child.spec import InspectDataset, Rows
from worker.child.supervise import supervise

pytestmark = pytest.mark.usefixtures("fork_servers")

TEXTS = [{"s": " ".join("ab"[(n + i) % 2] for i in range(1 + n % 7)), "y": n % 3} for n in range(40)]


def texts(folder: Path) -> Path:
    return archive(folder / "texts", {"d.jsonl": lines(TEXTS), "tokenizer.json": tokenizer()})


def table(folder: Path) -> Path:
    (folder / "table").write_text("x,word\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(1000)))
    return folder / "table"


def parquet(folder: Path) -> Path:
    pq.write_table(pa.table({"x": [[1.0, 2.0]] * 900, "s": ["a"] * 900}), folder / "parquet")
    return folder / "parquet"


def sounds(folder: Path) -> Path:
    return archive(
        folder / "sounds", {f"{i}.flac": encoded(sound(0.5, 8000, seed=i), 8000, "FLAC") for i in range(3)}
    )


@pytest.mark.parametrize(
    ("make", "declared", "samples"),
    [
        (texts, {"input_ids": {"from": "text", "columns": ["s"]}}, 40),
        (table, {"x": {"from": "table", "columns": ["x", "word"], "categories": {"word": ["a", "b"]}}}, 1000),
        (parquet, {"x": {"array": "x"}}, 900),
        (sounds, {"x": {"from": "audio", "rate": 16_000, "length": 512, "hop": 512}}, 48),
    ],
)
def test_every_kind_is_inspected(make: Any, declared: dict[str, Any], samples: int, tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    task = InspectDataset(
        kind="inspect_dataset",
        path=make(tmp_path),
        declaration=Declaration.model_validate({"inputs": declared}),
        scratch=folder,
        max_unpacked_bytes=1 << 34,
    )
    ending = supervise(task, LIMITS, folder, Watcher())
    assert isinstance(ending, Finished), ending
    assert ending.result["facts"]["samples"] == samples


def test_texts_train_calibrate_and_measure_an_encoder(tmp_path: Path) -> None:
    """Of a length that is longer than any text."""
    folder = attempt(tmp_path)
    shared = [folder.parent / name for name in ("checkpoints", "curves")]
    for place in shared:
        place.mkdir()
        (folder / place.name).symlink_to(f"../{place.name}")
    onnx.save(ir.to_proto(encoder(12)), tmp_path / "model.onnx")
    declaration = Declaration.model_validate(
        {
            "inputs": {"input_ids": {"from": "text", "columns": ["s"]}},
            "targets": {"from": "column", "column": "y"},
        }
    )
    named = {"tokens": "input_ids", "mask": "attention_mask"}
    rows = Rows(path=texts(tmp_path), declaration=declaration, slice=None, map=named)
    steps = [{"kind": "finetune", "epochs": 1, "batch_size": 4}, {"kind": "int8_static"}]
    task = compress_task(tmp_path / "model.onnx", steps, rows, folder, training=rows)
    assert isinstance(supervise(task, LIMITS, folder, Watcher(), shared=shared), Finished)
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    assert [step.kind for step in report.steps] == ["finetune", "int8_static"]
    assert report.steps[1].changed > 0
    assert report.quality[0].samples == 40
