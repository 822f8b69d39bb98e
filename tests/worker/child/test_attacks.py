"""Files that were made to run code, in the child, with torch's own loader in place of our reader: the layers alone."""

import zipfile
from pathlib import Path

import pytest

from app.contract.dataset import Declaration
from tests.worker.child.test_shut_in import LAYERS, Watcher
from worker.child.spec import InspectDataset, Limits
from worker.child.supervise import Finished, supervise

attacks = pytest.importorskip("tests.support.attacks", reason="the attacks on .pt2 are not here yet")
RUNS = "expressions: a comment that line breaks end"
"""One of which torch's loader is known to run the code."""


def test_code_that_runs_in_the_child_reaches_nothing(tmp_path: Path) -> None:
    if not LAYERS.get("landlock"):
        pytest.skip("this kernel has no landlock")
    names, upload = list(attacks.ATTACKS), tmp_path / "upload"
    markers = [tmp_path / f"{attacks.CANARY}-{number}" for number in range(len(names))]
    with zipfile.ZipFile(upload, "w") as archive:
        for number, (name, marker) in enumerate(zip(names, markers, strict=True)):
            archive.writestr(f"{number}.pt2", attacks.ATTACKS[name](marker))
    (folder := tmp_path / "scratch" / "dst_1" / "attempt-1").mkdir(parents=True)
    task = InspectDataset(
        kind="inspect_dataset",
        path=upload,
        declaration=Declaration(),
        scratch=folder,
        max_unpacked_bytes=1 << 34,
    )
    limits, watcher = Limits(seconds=250, memory_bytes=1 << 33, mapped_bytes=1 << 36), Watcher()
    ending = supervise(task, limits, folder, watcher, "tests.support.loading")
    assert isinstance(ending, Finished), ending
    loaded = watcher.logged["loaded"]
    assert len(loaded) == len(names)
    assert not [name for name, marker in zip(names, markers, strict=True) if marker.exists()]
    assert "PermissionError" in loaded[f"{names.index(RUNS)}.pt2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "upload"]
