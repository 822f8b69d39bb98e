import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.compression.cache.bounded_folder import BoundedFolder


def folder(path: Path, entries: int = 3, size: int = 1 << 20) -> BoundedFolder:
    return BoundedFolder(path, max_entries=entries, max_bytes=size)


def put(into: BoundedFolder, key: str, content: bytes = b"x") -> None:
    into.add(key, lambda place: (place / "file").write_bytes(content) and None)


def aged(path: Path, *keys: str) -> None:
    """As if they had been used in this order, long ago."""
    for age, key in enumerate(keys):
        os.utime(path / key / "used", (1000 + age, 1000 + age))


def names(path: Path) -> set[str]:
    return {place.name for place in path.iterdir()}


def test_the_least_recently_used_go_beyond_the_number(tmp_path: Path) -> None:
    for key in "abc":
        put(folder(tmp_path), key)
    aged(tmp_path, "a", "b", "c")
    other = folder(tmp_path)
    assert other.hold("a") == tmp_path / "a"
    other.remove("unknown")
    put(folder(tmp_path), "d")
    assert names(tmp_path) == {"a", "c", "d"}


def test_the_least_recently_used_go_beyond_the_bytes_but_never_the_newest(tmp_path: Path) -> None:
    for key in "ab":
        put(folder(tmp_path, size=100), key, bytes(40))
    aged(tmp_path, "a", "b")
    put(folder(tmp_path, size=100), "c", bytes(400))
    assert names(tmp_path) == {"c"}


def test_what_a_living_process_holds_stays_until_it_ends(tmp_path: Path) -> None:
    put(folder(tmp_path, entries=1), "a")
    aged(tmp_path, "a")
    holding = (
        "import sys; from pathlib import Path; from worker.compression.cache.bounded_folder import BoundedFolder as B;"
        "b = B(Path(sys.argv[1]), max_entries=1, max_bytes=1); assert b.hold('a'); print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", holding, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        put(folder(tmp_path, entries=1), "b")
        assert names(tmp_path) == {"a", "b"}
        holder.kill()
    aged(tmp_path, "a", "b")
    put(folder(tmp_path, entries=1), "c")
    assert names(tmp_path) == {"c"}


def test_what_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        folder(tmp_path).add("a", full)
    assert names(tmp_path) == set()


def test_the_first_of_two_stays(tmp_path: Path) -> None:
    put(folder(tmp_path), "a", b"first")
    put(folder(tmp_path), "a", b"second")
    assert (tmp_path / "a" / "file").read_bytes() == b"first"
    assert names(tmp_path) == {"a"}
