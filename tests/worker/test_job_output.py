"""What a child found becomes what the record says."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from app.api.views import dataset as shown
from app.storage import records
from app.storage.memory_blobs import MemoryBlobs
from winnow.contract.dataset import Dataset
from winnow.contract.declaration import Declaration
from worker.child.spec import InspectDataset
from worker.child.work import perform
from worker.job_output import store_results


def test_a_rejected_dataset_keeps_its_arrays(tmp_path: Path) -> None:
    """Inspected as a child does it, stored, and shown as the API does."""
    np.savez(tmp_path / "a.npz", pictures=np.zeros((3, 4, 4), np.uint8), names=np.array(["a", "b"]))
    declaration = Declaration.model_validate({"inputs": {"x": {"array": "images"}}})
    task = InspectDataset(
        kind="inspect_dataset",
        path=tmp_path / "a.npz",
        declaration=declaration,
        scratch=tmp_path / "scratch",
        max_unpacked_bytes=1 << 20,
    )
    upload = records.Upload(
        id="dst_1", kind="dataset", name="a", format="npz", sha256="0" * 64, size_bytes=1,
        state="inspecting", created_at=0.0, declaration=declaration.model_dump(mode="json"),
    )  # fmt: skip
    changes = store_results(upload, perform(task, None), tmp_path, tmp_path, MemoryBlobs())  # type: ignore[arg-type]
    seen: Dataset = shown(replace(upload, **changes))
    assert seen.state == "rejected"
    assert seen.problem is not None
    assert seen.problem.code == "invalid_declaration"
    assert seen.arrays is not None
    assert {name: (a.dtype, a.shape) for name, a in seen.arrays.items()} == {
        "pictures": ("uint8", [3, 4, 4]),
        "names": ("str32", [2]),
    }
    assert seen.inputs is None
