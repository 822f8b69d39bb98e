"""Files that were made to run code, in the child, with torch's own loader in place of our reader: the layers alone."""

import zipfile
from pathlib import Path

import pytest

from tests.worker.child.test_shut_in import LAYERS, Watcher
from winnow.contract.declaration import Declaration
from worker.child.endings import Finished
from worker.child.spec import InspectDataset, Limits
from worker.child.supervise import supervise

attacks = pytest.importorskip("tests.support.attacks", reason="the attacks on .pt2 are not here yet")
RUNS = "expressions: a comment that line breaks end"
"""One of which torch's loader is known to run the code."""
FAST = 12
"""How many are loaded here, of each family some; all of them by `make bench-hostile`."""


def test_code_that_runs_in_the_child_reaches_nothing(tmp_path: Path) -> None:
    if not LAYERS.get("landlock"):
        pytest.skip("this kernel has no landlock")
    names = list(attacks.ATTACKS)
    some = [RUNS, *(name for name in names[:: len(names) // FAST + 1] if name != RUNS)]
    ended, created = loaded_in_a_child(some, tmp_path)
    assert created == []
    assert "PermissionError" in ended[RUNS]


def loaded_in_a_child(names: list[str], folder: Path) -> tuple[dict[str, str], list[str]]:
    """How torch's own loader ended with each attack, and what appeared beside the upload."""
    with zipfile.ZipFile(folder / "upload", "w") as archive:
        for number, name in enumerate(names):
            content = attacks.ATTACKS[name](folder / f"{attacks.CANARY}-{number}")
            archive.writestr(f"{number}.pt2", content)
    (scratch := folder / "scratch" / "dst_1" / "attempt-1").mkdir(parents=True)
    task = InspectDataset(
        kind="inspect_dataset",
        path=folder / "upload",
        declaration=Declaration(),
        scratch=scratch,
        max_unpacked_bytes=1 << 34,
    )
    limits, watcher = Limits(seconds=250, memory_bytes=1 << 33, mapped_bytes=1 << 36), Watcher()
    ending = supervise(task, limits, scratch, watcher, "tests.support.loading")
    assert isinstance(ending, Finished), ending
    ended = {name: watcher.logged["loaded"][f"{number}.pt2"] for number, name in enumerate(names)}
    created = sorted({path.name for path in folder.iterdir()} - {"upload", "scratch"})
    return ended, created
