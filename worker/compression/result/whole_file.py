"""A file that has its name when all of it is there."""

from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write it under another name first: whoever is killed meanwhile leaves no half of it."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_bytes(content)
    partial.replace(file)
