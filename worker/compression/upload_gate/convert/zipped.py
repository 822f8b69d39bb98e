"""Read PyTorch's files, zips of one folder, before torch sees them, without unpacking them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.strict_zip import BrokenZip, MemberStream, ZipArchive, open_zip
from worker.compression.upload_gate.convert.pickles import foreign_globals, is_pickle

EXPORT_ANEW = (
    "Save the model with torch.export.save(torch.export.export(model.eval(), args), 'model.pt2'), "
    "or export it to ONNX."
)
MAX_PICKLE_BYTES: Final = 2**26


@dataclass(frozen=True)
class Zipped:
    """An open archive. `names` are without the one folder that all members lie in, and lead to those with it."""

    archive: ZipArchive
    names: dict[str, str]

    def read(self, name: str, *, limit: int) -> bytes:
        """Read the content. Raises `BrokenZip`, and `Refusal` `unsafe_archive` above `limit` bytes."""
        return self.archive.read(self.names[name], limit=limit)

    def stream(self, name: str) -> MemberStream:
        return self.archive.stream(self.names[name])

    def size(self, name: str) -> int:
        """Return the bytes, unpacked."""
        return self.archive.members[self.names[name]].size_bytes


@contextmanager
def opened(path: Path, *, max_bytes: int) -> Iterator[Zipped]:
    """Open the archive, read in the only way in which it can be.

    Raises `Refusal`: `pickle_refused` for what is no archive but a pickle, `unsafe_archive`, `invalid_model`.
    """
    with path.open("rb") as file:
        if is_pickle(file.read(8)):
            raise Refusal(
                "pickle_refused", f"This is a Python pickle of PyTorch's oldest format. {EXPORT_ANEW}"
            )
        try:
            archive = open_zip(file, max_bytes=max_bytes)
            yield Zipped(archive, _names(archive))
        except BrokenZip as error:
            raise Refusal("invalid_model", f"The file is no readable PyTorch archive: {error}.") from error


def refuse_pickled(files: Zipped) -> None:
    """Refuse what `torch.save` wrote: a whole module, or weights without the network they belong to.

    Raises `Refusal` `pickle_refused`.
    """
    if "data.pkl" not in files.names:
        return
    foreign = foreign_globals(files.read("data.pkl", limit=MAX_PICKLE_BYTES))
    what = (
        f"a pickled object that calls {', '.join(foreign[:3])}" if foreign else "weights alone (a state dict)"
    )
    raise Refusal(
        "pickle_refused", f"torch.save wrote {what}; there is no network in it to run. {EXPORT_ANEW}"
    )


def _names(archive: ZipArchive) -> dict[str, str]:
    folders = {name.partition("/")[0] for name in archive.members}
    if len(folders) != 1 or not all("/" in name for name in archive.members):
        raise Refusal("unsafe_archive", "The file should hold one folder with all else in it.")
    return {name.partition("/")[2]: name for name in archive.members}
