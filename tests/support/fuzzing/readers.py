"""The strict readers: what reads an upload before any library does. Each in this process, without a sandbox."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, get_args

from app.api.sniff import sniffed
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal

Format = Literal["pt2", "torchscript", "npz", "onnx", "onnx in zip", "onnx in tar"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
CAP: Final = 2**26


def read(format: Format, content: bytes, folder: Path) -> list[str]:
    """What the worker's reader, and the API's, make of it: see `outcome_of`. `folder` is emptied afterwards."""
    folder.mkdir(exist_ok=True)
    path = folder / "upload"
    path.write_bytes(content)
    try:
        return [
            outcome_of(lambda: _worker(format, path, folder)),
            outcome_of(lambda: sniffed(io.BytesIO(content))),
        ]
    finally:
        shutil.rmtree(folder)


def outcome_of(act: Callable[[], object]) -> str:
    """`accepted`, a problem's code, or `leaked …` for what a stranger's file must not raise."""
    try:
        act()
    except Refusal as refusal:
        return refusal.problem.code
    except MemoryError:
        return "out of memory"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return f"leaked {type(error).__name__}: {str(error)[:200]}"
    return "accepted"


def _worker(format: Format, path: Path, folder: Path) -> object:
    from worker.compression.data.inspection.inspect import inspect_dataset
    from worker.compression.upload.inspection import open_model
    from worker.compression.upload_gate.convert import torchscript
    from worker.compression.upload_gate.convert.pt2.rebuild import rebuild

    match format:
        case "pt2":
            return rebuild(path, folder / "rebuilt", max_bytes=CAP)
        case "torchscript":
            return torchscript.convert(path, folder / "onnx", [], allowed=True, max_bytes=CAP)
        case "npz":
            return inspect_dataset(path, Declaration(), folder / "scratch", max_unpacked_bytes=CAP)
        case "onnx" | "onnx in zip" | "onnx in tar":
            return open_model(path, folder / "scratch", max_unpacked_bytes=CAP)
