"""An honest `.pt2` of torch 2.12 as files, changed, and packed again."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CANARY = "winnow-canary"
"""Not a word: what is made an identifier does not hold it."""
MODULE = "this"
"""A module of the standard library that nothing here imports, and with a name in it that is no enumeration."""
HONEST = Path(__file__).parents[1] / "pt2" / "torch-2.12.pt2"
PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"

Files = dict[str, bytes]


def honest() -> Files:
    """Members by name, without the top folder."""
    with zipfile.ZipFile(HONEST) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def packed(files: Files, *, folder: str = "model/") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(folder + name, content)
    return buffer.getvalue()


def edited(change: Callable[[Any], None], member: str = PROGRAM) -> bytes:
    """The honest archive, the document in one member changed."""
    files = honest()
    document = json.loads(files[member])
    change(document)
    files[member] = json.dumps(document).encode()
    return packed(files)


def code(marker: Path) -> str:
    """An expression that creates the marker."""
    return f"__import__('pathlib').Path({str(marker)!r}).touch() or '{CANARY}'"


def objects(document: Any) -> list[dict[str, Any]]:
    """All objects in a document, however deep."""
    if isinstance(document, list):
        return [each for item in document for each in objects(item)]
    if isinstance(document, dict):
        return [document, *(each for item in document.values() for each in objects(item))]
    return []


def renamed(document: Any, old: str, new: str) -> Any:
    """The document with one string replaced wherever it stands alone, as key or value."""
    if isinstance(document, list):
        return [renamed(item, old, new) for item in document]
    if isinstance(document, dict):
        return {renamed(key, old, new): renamed(value, old, new) for key, value in document.items()}
    return new if document == old else document
