from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.digits import Digits, digits
from tests.support.service import Service
from winnow.client import Client


@pytest.fixture(scope="module")
def client(winnow: Service) -> Iterator[Client]:
    """Of a real service with its workers."""
    with Client(winnow.url) as client:
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    """A name for a dataset to be written."""
    return tmp_path / "data.npz"
