"""Pickles in the places where torch's loader would unpickle them."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.attacks.pt2_files import CONSTANTS, WEIGHTS, Files, honest, packed


class Payload:
    """Pickled, it creates a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.marker), "w")


def bare(marker: Path, protocol: int = 2) -> bytes:
    return pickle.dumps(Payload(marker), protocol=protocol)


def zipped(marker: Path) -> bytes:
    """As torch.save writes it."""
    return packed({"data.pkl": bare(marker), "version": b"3\n"}, folder="archive/")


def _with(changes: Files) -> bytes:
    return packed({**honest(), **changes})


def _entry(files: Files, config: str, **fields: Any) -> None:
    document = json.loads(files[config])
    next(iter(document["config"].values())).update(fields)
    files[config] = json.dumps(document).encode()


def _payload(config: str, folder: str, path_name: str, content: bytes, **fields: Any) -> bytes:
    files = honest()
    _entry(files, config, path_name=path_name, **fields)
    files[f"{folder}/{path_name}"] = content
    return packed(files)


SAMPLES = "data/sample_inputs/model.pt"
W, C = (WEIGHTS, "data/weights"), (CONSTANTS, "data/constants")

ATTACKS: dict[str, Callable[[Path], bytes]] = {
    "sample inputs, bare": lambda marker: _with({SAMPLES: bare(marker)}),
    "sample inputs, protocol 4": lambda marker: _with({SAMPLES: bare(marker, 4)}),
    "sample inputs, protocol 0": lambda marker: _with({SAMPLES: bare(marker, 0)}),
    "sample inputs, as torch saves": lambda marker: _with({SAMPLES: zipped(marker)}),
    "a weight": lambda marker: _payload(*W, "weight_0", zipped(marker), use_pickle=True),
    "a weight, the flag a number": lambda marker: _payload(*W, "weight_0", zipped(marker), use_pickle=1),
    "a weight, the flag a text": lambda marker: _payload(*W, "weight_0", zipped(marker), use_pickle="0"),
    "all weights, the old way": lambda marker: _with({"data/weights/model.pt": zipped(marker)}),
    "a constant": lambda marker: _payload(*C, "tensor_0", zipped(marker), use_pickle=True),
    "all constants, the old way": lambda marker: _with({"data/constants/model.pt": zipped(marker)}),
    "an opaque object": lambda marker: _payload(*C, "opaque_obj_0", bare(marker), tensor_meta=None),
    "an object of TorchScript": lambda marker: _payload(*C, "custom_obj_0", zipped(marker), tensor_meta=None),
    "a whole module beside it": lambda marker: _with({"data.pkl": bare(marker)}),
    "an extra file": lambda marker: _with({"extra/model.pkl": bare(marker)}),
    "no archive at all": lambda marker: bare(marker),
}
