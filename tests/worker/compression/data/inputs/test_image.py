"""Pictures become an input as the arrays of their pixels would."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.pictures import encoded, noise, tar_of, zip_of
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source

CAP = 1 << 30


def opened(
    path: Path, how: dict[str, Any], shape: list[int | str | None], dtype: str = "float32", **more: Any
) -> Samples:
    declaration = Declaration.model_validate({"inputs": {"x": how}, **more})
    spec = TensorSpec(name="x", dtype=dtype, shape=shape, batch_axis=0)
    return open_samples(Source(path, declaration), [spec], path.parent / "scratch", max_unpacked_bytes=CAP)


def fed(path: Path, how: dict[str, Any], shape: list[int | str | None], dtype: str = "float32") -> Any:
    return np.concatenate([feed["x"] for feed in opened(path, how, shape, dtype).batches(4)])


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_archive_of_pngs_gives_the_tensors_of_the_same_npz_bit_for_bit(pack: Any, tmp_path: Path) -> None:
    pictures = np.stack([noise(9, 7, seed=i) for i in range(6)])
    archive = pack(tmp_path / "a", {f"{i}.png": encoded(picture) for i, picture in enumerate(pictures)})
    np.savez(tmp_path / "a.npz", x=pictures)
    numbers = {"scale": 0.01, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.7, 0.9], "layout": "NHWC->NCHW"}
    shape = ["N", 3, 9, 7]
    np.testing.assert_array_equal(
        fed(archive, {"from": "image"} | numbers, shape),
        fed(tmp_path / "a.npz", {"array": "x"} | numbers, shape),
    )
