"""Find the graphs of a package among the files of an archive, each with the name that it has in patterns and feeds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from winnow.contract.errors import Refusal
from worker.compression.upload_gate.archive import models_of

MAX_GRAPHS: Final = 16
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
TEXTS: Final = frozenset({".json", ".txt"})
"""Configurations and vocabularies: they go with the graphs as they are, and nothing here reads them."""
MAX_TEXT_BYTES: Final = 32 << 20


@dataclass(frozen=True)
class PackagedFile:
    """One graph: `name` is that of its file without the suffix, `path` where it was unpacked to."""

    name: str
    path: Path

    @property
    def prefix(self) -> str:
        """What stands before each of its names where all graphs are one."""
        return f"{self.name}:"


@dataclass(frozen=True)
class Package:
    """The graphs of an archive, by name, and the texts beside them. `folder`: where in the archive they lie.

    `uploaded_bytes`: what graphs and external data take as they came; `shared_bytes`: so much of it is the same weight
    again, in another graph.
    """

    graphs: Sequence[PackagedFile]
    texts: Sequence[Path]
    folder: str
    uploaded_bytes: int = 0
    shared_bytes: int = 0

    def names_graph(self, name: str) -> PackagedFile | None:
        """The graph that a name of the one graph belongs to."""
        return next((graph for graph in self.graphs if name.startswith(graph.prefix)), None)


def package_in(files: Iterable[Path], root: Path) -> Package:
    """Find the graphs, which lie in one folder. Raises `Refusal` `invalid_model` with the names."""
    files = sorted(files)
    models = models_of(files)
    folders = sorted({str(file.parent.relative_to(root)) for file in models})
    if len(folders) > 1:
        raise Refusal(
            "invalid_model",
            f"The graphs of a package should lie in one folder, with the data that they share; these lie in "
            f"{', '.join(map(repr, folders[:5]))}. Pack them side by side.",
        )
    if len(models) > MAX_GRAPHS:
        raise Refusal(
            "invalid_model",
            f"The package has {len(models)} graphs; {MAX_GRAPHS} are the most. Leave some out.",
        )
    graphs = [PackagedFile(_name(file), file) for file in models]
    texts = [
        file
        for file in files
        if file.suffix.lower() in TEXTS
        and file.parent == models[0].parent
        and file.stat().st_size <= MAX_TEXT_BYTES
    ]
    return Package(graphs, texts, "" if folders == ["."] else folders[0])


def _name(file: Path) -> str:
    if NAME.fullmatch(file.stem) is None:
        raise Refusal(
            "invalid_model",
            f"A graph is called after its file, by letters, digits, '_', '-' and '.', at most 64; "
            f"{file.name[:80]!r} is not. Rename it.",
        )
    return file.stem
