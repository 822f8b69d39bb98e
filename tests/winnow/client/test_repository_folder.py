"""A bundle in a folder that is there already: nothing is overwritten unasked, and nothing is written elsewhere."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from winnow.client import UnusableFile
from winnow.client.bundle import Bundle
from winnow.client.repository_folder import ATTRIBUTES, write_repository
from winnow.contract.bundle.files import ARTIFACT, NEEDED, PACKAGE
from winnow.contract.strict_zip import open_zip


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (ARTIFACT, *NEEDED):
            archive.writestr(name, f"new {name}")
    with path.open("rb") as file:
        yield Bundle(path, open_zip(file), *cast("tuple[Any, Any]", (None, None)))


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_in_the_folder_is_replaced_and_not_followed(
    bundle: Bundle, tmp_path: Path, is_there: bool
) -> None:
    folder, elsewhere = tmp_path / "repository", tmp_path / "elsewhere"
    folder.mkdir()
    if is_there:
        elsewhere.write_text("mine")
    (folder / ARTIFACT).symlink_to(elsewhere)
    with pytest.raises(UnusableFile, match="exists and is not overwritten"):
        write_repository(bundle, folder)
    write_repository(bundle, folder, force=True)
    assert (folder / ARTIFACT).read_text() == f"new {ARTIFACT}"
    assert elsewhere.exists() == is_there
    assert not is_there or elsewhere.read_text() == "mine"
    assert not list(folder.glob(".*.part"))


def test_attributes_that_are_there_are_kept_whatever_they_say(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / ATTRIBUTES).write_bytes(b"# caf\xe9\n")
    write_repository(bundle, tmp_path)
    lines = (tmp_path / ATTRIBUTES).read_bytes().splitlines()
    assert lines == [b"# caf\xe9", b"*.onnx filter=lfs diff=lfs merge=lfs -text"]


def test_the_zip_of_a_package_goes_by_git_lfs_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for name in (PACKAGE, *NEEDED):
            archive.writestr(name, name)
    with (tmp_path / "bundle.zip").open("rb") as file:
        packaged = Bundle(tmp_path, open_zip(file), *cast("tuple[Any, Any]", (None, None)))
        write_repository(packaged, tmp_path / "repository")
    assert (tmp_path / "repository" / PACKAGE).read_text() == PACKAGE
    assert (tmp_path / "repository" / ATTRIBUTES).read_text().startswith("*.zip filter=lfs")
