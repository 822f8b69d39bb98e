"""`python -m tests.support.attacks.audited_conversion FOLDER`: convert each FOLDER/N.pt2 and report, then load each
FOLDER/loaded/N.pt2.

No sandbox, no filter: only an audit hook, which sees what the interpreter opens, imports, compiles and starts. An
honest file is converted first, so that what torch itself imports is there. One JSON line for each file:

    {"outcome": "harmless" | "converted" | a code | "leaked …", "suspects": ["open …", "import …", …]}

What is loaded is opened by torch's own loader: to see that the attacks are real, and would be seen.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from tests.support.attacks.pt2_files import CANARY, HONEST, MODULE
from winnow.contract.errors import Refusal
from worker.compression.upload_gate.convert import torch_export
from worker.compression.upload_gate.convert.pt2.rebuild import rebuild

STARTS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile", "pty.")
TALKS = ("socket.", "urllib.", "http.", "ftplib.", "webbrowser.", "smtplib.")
CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.truncate",
)
READABLE = tuple({sys.prefix, sys.base_prefix, str(Path.cwd()), "/proc/", "/sys/", "/dev/", "/etc/localtime"})


class Watch:
    """Collects suspicious events while `folder` is set; only it may be written."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.suspects: list[str] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        folder, self.folder = self.folder, None  # what is done here is not watched
        if folder is not None and self._is_suspect(event, args, folder):
            planted = f" of {CANARY}" if CANARY in _source(args[0]) else ""
            self.suspects.append(f"{event}{planted} {args!r:.300}")
        self.folder = folder

    def _is_suspect(self, event: str, args: tuple[Any, ...], folder: str) -> bool:
        match event:
            case "open":
                return _reaches(args[0], args[1], args[2], folder)
            case "compile" | "exec":
                return CANARY in _source(args[0])
            case "pickle.find_class":
                return True
            case "ctypes.dlopen":
                return CANARY in str(args)
            case _:
                changes = event.startswith(CHANGES) and not str(args[0]).startswith(folder)
                return changes or event.startswith((*STARTS, *TALKS))


def _reaches(path: Any, mode: Any, flags: Any, folder: str) -> bool:
    """Writing outside the folder; reading outside of what belongs to the interpreter and this checkout."""
    if not isinstance(path, str | bytes):
        return False
    place = str(Path(path.decode() if isinstance(path, bytes) else path).absolute())
    writes = bool(flags & 3) if isinstance(flags, int) else any(letter in str(mode) for letter in "wax+")
    return not place.startswith((folder, "/dev/null") if writes else (folder, *READABLE))


def _source(code: Any) -> str:
    return repr((code.co_consts, code.co_names)) if hasattr(code, "co_consts") else repr(code)


def main() -> None:
    folder = Path(sys.argv[1])
    honest = folder / "honest.onnx"
    torch_export.convert(HONEST, honest, max_bytes=2**30)
    known, watch = _roots(), Watch()
    sys.addaudithook(watch)
    rebuild(HONEST, honest, max_bytes=2**30)
    content = honest.read_bytes()
    ways = (lambda path: _converted(path, content)), _loaded
    for opened, place in zip(ways, (folder, folder / "loaded"), strict=True):
        for path in sorted(place.glob("*.pt2"), key=lambda path: int(path.stem)):
            watch.suspects, watch.folder = [], str(folder)
            outcome = opened(path)
            watch.folder = None
            imported = [f"import {root}" for root in _roots() - known]
            sys.modules.pop(MODULE, None)
            print(json.dumps({"outcome": outcome, "suspects": watch.suspects + imported}), flush=True)


def _roots() -> set[str]:
    return {name.partition(".")[0] for name in sys.modules}


def _converted(path: Path, honest: bytes) -> str:
    """What is rebuilt as the honest file is has lost what was planted, and its conversion was seen already."""
    target = path.with_suffix(".onnx")
    try:
        rebuild(path, target, max_bytes=2**30)
        if target.read_bytes() == honest:
            return "harmless"
        torch_export.convert(path, target, max_bytes=2**30)
    except Refusal as refusal:
        return refusal.problem.code
    except Exception as error:
        return f"leaked {error!r:.300}"
    return "converted"


def _loaded(path: Path) -> str:
    try:
        with path.open("rb") as file:
            torch.export.load(file)
    except Exception as error:
        return f"refused by torch: {type(error).__name__}"
    return "loaded"


if __name__ == "__main__":
    main()
