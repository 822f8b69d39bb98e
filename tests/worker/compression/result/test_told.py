"""The report is whole before anything is done that it can do without, and says what it had to do without."""

from pathlib import Path

import onnx
import pytest

from tests.support.asked import report
from tests.support.graphs import cnn
from winnow.contract.report import Report
from worker.compression.data.source import Data
from worker.compression.materials import Materials
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result import told
from worker.compression.result.fidelity import fidelity
from worker.compression.result.fidelity.attributions import NOT_MEASURED, Attributions
from worker.compression.upload.upload import open_upload


@pytest.fixture
def materials(tmp_path: Path) -> Materials:
    onnx.save(cnn(), tmp_path / "model.onnx")
    upload = open_upload(tmp_path / "model.onnx", tmp_path / "scratch", max_unpacked_bytes=2**30)
    return Materials(upload, Data(), tmp_path, tmp_path / "curves", Silent(), Options(explain=True))


def written(folder: Path) -> Report:
    return Report.model_validate_json((folder / "report.json").read_bytes())


def why_not(made: Report) -> list[str]:
    return [note.removeprefix(NOT_MEASURED) for note in made.notes if note.startswith(NOT_MEASURED)]


def test_the_report_lies_there_while_fidelity_is_measured(
    materials: Materials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile: list[Report] = []

    def look(artifact: Path, materials: Materials) -> Attributions:
        meanwhile.append(written(tmp_path))
        return Attributions(why="there is no data to look at.")

    monkeypatch.setattr(told, "measured_attributions", look)
    told.write_results(report(), tmp_path / "model.onnx", None, materials, tmp_path)
    (early,) = meanwhile
    assert early.verdict == report().verdict
    assert "the work was ended before it was" in why_not(early)[0]
    assert why_not(written(tmp_path)) == ["there is no data to look at."]


@pytest.mark.parametrize("error", [RuntimeError("no"), MemoryError(), ImportError("libtorch")])
def test_whatever_goes_wrong_with_fidelity_is_a_note(
    materials: Materials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(artifact: Path, materials: Materials) -> Attributions:
        raise error

    monkeypatch.setattr(fidelity, "attributions", fail)
    made = told.write_results(report(), tmp_path / "model.onnx", None, materials, tmp_path)
    assert made == written(tmp_path)
    assert why_not(made) == [f"it could not be ({type(error).__name__})."]
