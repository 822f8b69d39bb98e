"""Convert `.pt2` (torch.export) to ONNX. torch loads an archive written from what was read, never the upload."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Final

from winnow.contract.errors import Refusal
from winnow.contract.strict_zip import BrokenZip, open_zip
from worker.compression.upload_gate.archive import TORCH_EXPORT
from worker.compression.upload_gate.convert.pt2.rebuild import rebuild
from worker.compression.upload_gate.convert.written import OPSET, write
from worker.compression.upload_gate.convert.zipped import EXPORT_ANEW

MAX_LISTED_BYTES: Final = 2**40
"""Of an archive that is only listed: nothing is unpacked."""


def is_torch_export(path: Path) -> bool:
    """Whether the bytes are an archive of torch.export. The name is not looked at."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
        try:
            members = open_zip(file, max_bytes=MAX_LISTED_BYTES).members
        except BrokenZip:
            return False
    return any(PurePosixPath(name).name in TORCH_EXPORT for name in members)


def convert(path: Path, target: Path, *, max_bytes: int) -> None:
    """Write the program in `path` as one ONNX file; symbolic dimensions stay symbolic.

    Raises `Refusal`: what `rebuild` raises; `conversion_failed` when torch cannot load or export it.
    """
    import torch

    rebuilt = target.with_name("rebuilt.pt2")
    try:
        rebuild(path, rebuilt, max_bytes=max_bytes)
        program = _load(rebuilt)
    finally:
        rebuilt.unlink(missing_ok=True)
    try:
        converted = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, external_data=False, verbose=False, optimize=True
        )
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise Refusal("conversion_failed", _reason(error)) from error
    assert converted is not None
    write(converted.model, target)


def _load(path: Path) -> Any:
    import torch

    try:
        with path.open("rb") as file, _nothing_unpickled():
            return torch.export.load(file)
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise Refusal("conversion_failed", _reason(error)) from error


@contextmanager
def _nothing_unpickled() -> Iterator[None]:
    """Force `weights_only=True` on every `torch.load`, and refuse the other two loaders of pickled objects.

    There is no pickle in what is loaded; this holds should torch look for one elsewhere.
    """
    from unittest import mock  # brings all of asyncio

    import torch
    from torch.export.pt2_archive import _package

    module_pickle = _package.pickle  # type: ignore[attr-defined]
    load = torch.load

    def weights_only(*args: Any, **options: Any) -> Any:
        try:
            return load(*args, **{**options, "weights_only": True})
        except pickle.UnpicklingError as error:
            raise _refused() from error

    def never(*_: Any, **__: Any) -> Any:
        raise _refused()

    with (
        mock.patch.object(torch, "load", weights_only),
        mock.patch.object(torch._C, "_pickle_load_obj", never),
        mock.patch.object(module_pickle, "loads", never),
        mock.patch.object(_package, "_load_aoti", never),
    ):
        yield


def _refused() -> Refusal:
    return Refusal("pickle_refused", f"The archive holds a pickled object. {EXPORT_ANEW}")


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return (
        f"torch could not turn this program into ONNX: {lines[0][:300]}. Try exporting it to ONNX yourself."
    )
