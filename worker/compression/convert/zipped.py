"""PyTorch's files are zips of one folder. They are looked at here before torch sees them, and not unpacked."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.contract.errors import Refusal
from app.contract.strict_zip import MAX_MEMBERS, MAX_RATIO
from worker.compression.convert.pickles import foreign_globals, is_pickle

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)

EXPORT_ANEW = (
    "Save the model with torch.export.save(torch.export.export(model.eval(), args), 'model.pt2'), "
    "or export it to ONNX."
)


@dataclass(frozen=True)
class Zipped:
    """An open archive. `names` are without the one folder that all members lie in."""

    archive: zipfile.ZipFile
    names: dict[str, str]

    def read(self, name: str) -> bytes:
        return self.archive.read(self.names[name])


@contextmanager
def opened(path: Path, *, max_bytes: int) -> Iterator[Zipped]:
    """The archive, its members counted, weighed and named once.

    Raises `Refusal`: `pickle_refused` for what is no archive but a pickle, `unsafe_archive`, `invalid_model`.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if is_pickle(start):
        raise Refusal("pickle_refused", f"This is a Python pickle of PyTorch's oldest format. {EXPORT_ANEW}")
    try:
        with zipfile.ZipFile(path) as archive:
            yield Zipped(archive, _names(archive, path.stat().st_size, max_bytes))
    except BROKEN as error:
        raise Refusal("invalid_model", f"The file is no readable PyTorch archive: {error}") from error


def refuse_pickled(files: Zipped) -> None:
    """Refuse what `torch.save` wrote: a whole module, or weights without the network they belong to.

    Raises `Refusal` `pickle_refused`.
    """
    if "data.pkl" not in files.names:
        return
    foreign = foreign_globals(files.read("data.pkl"))
    what = (
        f"a pickled object that calls {', '.join(foreign[:3])}" if foreign else "weights alone (a state dict)"
    )
    raise Refusal(
        "pickle_refused", f"torch.save wrote {what}; there is no network in it to run. {EXPORT_ANEW}"
    )


def _names(archive: zipfile.ZipFile, size: int, max_bytes: int) -> dict[str, str]:
    members = [info for info in archive.infolist() if not info.is_dir()]
    unpacked = sum(info.file_size for info in members)
    if len(members) > MAX_MEMBERS or unpacked > min(max_bytes, MAX_RATIO * size):
        raise Refusal(
            "unsafe_archive", f"The file unpacks to {len(members)} members of {unpacked} bytes: too much."
        )
    if min((info.header_offset for info in members), default=0) > 0:
        raise zipfile.BadZipFile("it begins with something else, or was cut short")
    names = {info.filename.partition("/")[2]: info.filename for info in members}
    folders = {info.filename.partition("/")[0] for info in members}
    if len(names) != len(members) or len(folders) != 1:
        raise Refusal("unsafe_archive", "The file should hold one folder in which every name stands once.")
    return names
