"""Where files go: decided and tried before the work, written whole or not at all after it."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import typer


def target_of(to: Path, name: str, option: str, read: Sequence[Path], force: bool) -> Path:
    """The file to be written: `to`, or `name` in it where it is a folder.

    Raises typer.BadParameter where it cannot be written, is one of those that are `read`, or exists and is not to be
    overwritten.
    """
    target = to / name if name and to.is_dir() else to
    if target.exists() and any(path.exists() and path.samefile(target) for path in read):
        raise typer.BadParameter(f"{target} is read by this run, and is not overwritten", param_hint=option)
    if target.is_dir():
        raise typer.BadParameter(f"{target} is a folder", param_hint=option)
    if target.exists() and not force:
        raise typer.BadParameter(
            f"{target} exists and is not overwritten; give --force to do so, or another {option}",
            param_hint=option,
        )
    _check_writable(target, option)
    return target


def _check_writable(target: Path, option: str) -> None:
    """By writing: rights, file systems and quotas all have a say. A file that exists has to be replaceable."""
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:100]}."):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise typer.BadParameter(
            f"nothing can be written into {target.parent.absolute()}: {why}", param_hint=option
        ) from error


def write_whole(path: Path, text: str) -> Path:
    """Write the text to a file beside it, which then takes the place of `path`."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


@contextmanager
def nothing_half(targets: Sequence[Path]) -> Iterator[None]:
    """Whatever ends it, no part of a target is left."""
    try:
        yield
    finally:
        for target in targets:
            for part in target.parent.iterdir() if target.parent.is_dir() else ():
                if part.name.startswith(f".{target.name}.") and part.name.endswith(".part"):
                    with suppress(OSError):
                        part.unlink()
