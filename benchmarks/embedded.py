"""An embedded service, and data on its way into it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from app.embedded import running
from app.settings import Settings
from winnow.client import Client
from winnow.contract.declaration import Declaration


@contextmanager
def service(folder: Path, workers: int = 1, **settings: Any) -> Iterator[Client]:
    made = Settings(data_dir=folder, port=0, log_level="ERROR", **settings)
    with running(made, workers=workers) as url, Client(url) as winnow:
        yield winnow


def uploaded(
    winnow: Client, folder: Path, arrays: Mapping[str, np.ndarray], declared: Mapping[str, Any]
) -> str:
    """The id of the dataset."""
    archive = folder / "data.npz"
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    return winnow.upload_dataset(archive, Declaration.model_validate(declared)).id
