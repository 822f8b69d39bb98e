"""Pictures in the real child, with every layer that this kernel has: nothing that decoding needs is refused."""

from pathlib import Path

import onnx
import pytest

from tests.support.graphs import cnn
from tests.support.pictures import encoded, noise, zip_of
from tests.support.tasks import compress_task
from tests.worker.child.test_real_work import LIMITS, Watcher, attempt
from winnow.contract.declaration import Declaration
from winnow.contract.report import Report
from worker.child.endings import Finished
from worker.child.spec import InspectDataset, Rows
from worker.child.supervise import supervise

pytestmark = pytest.mark.usefixtures("fork_servers")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
DECLARATION = Declaration.model_validate(
    {"inputs": {"image": {"from": "image", "scale": 1 / 255}}, "targets": {"from": "folder"}, "skip_bad": 0.1}
)


def pictures(folder: Path) -> Path:
    """Of ten classes and every format, one of them cut short."""
    files = {
        f"{i % 10}/{i:03}.{FORMATS[i % 6].lower()}": encoded(noise(9, 12, seed=i), FORMATS[i % 6])
        for i in range(60)
    }
    files["0/000.png"] = files["0/000.png"][:100]
    return zip_of(folder / "pictures", files)


def test_an_archive_is_inspected(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    task = InspectDataset(
        kind="inspect_dataset",
        path=pictures(tmp_path),
        declaration=DECLARATION,
        scratch=folder,
        max_unpacked_bytes=1 << 34,
    )
    ending = supervise(task, LIMITS, folder, Watcher())
    assert isinstance(ending, Finished), ending
    facts = ending.result["facts"]
    assert (facts["samples"], facts["skipped"], facts["arrays"]["image"]["shape"]) == (59, 1, [60, 9, 12, 3])


def test_a_job_is_calibrated_and_judged_by_an_archive(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    onnx.save(cnn(), tmp_path / "model.onnx")
    rows = Rows(path=pictures(tmp_path), declaration=DECLARATION, slice=None, map={})
    task = compress_task(tmp_path / "model.onnx", [{"kind": "int8_static"}], rows, folder)
    assert isinstance(supervise(task, LIMITS, folder, Watcher()), Finished)
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    assert report.quality[0].samples == 59
