"""Say anew what was measured of a file, byte by byte: nothing of it is written differently but what Winnow wrote."""

from pathlib import Path
from typing import Final

import onnx

from winnow.contract.graph_hash import chunks_without_ours

PREFIX: Final = "winnow."


def restamp(source: Path, facts: dict[str, str], target: Path) -> None:
    """Copy an ONNX file with these facts under `winnow.*` in place of those that it has; `graph_sha256` stays.

    Raises `ValueError` where the source is no protobuf message.
    """
    entries = [onnx.StringStringEntryProto(key=PREFIX + key, value=value) for key, value in facts.items()]
    with target.open("wb") as file:
        for chunk in chunks_without_ours(source):
            file.write(chunk)
        file.write(onnx.ModelProto(metadata_props=entries).SerializeToString())
