from collections.abc import Iterator

import pytest

from tests.support.forked import Forked, until_servers_are_ready


@pytest.fixture(scope="session")
def forked() -> Iterator[Forked]:
    server = Forked()
    yield server
    server.close()


@pytest.fixture
def forked_children(forked: Forked) -> Iterator[None]:
    """Children that are modules of the tests are forked from a process that has imported them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("worker.child.spawn._start", forked.start)
        yield


@pytest.fixture
def fork_servers() -> None:
    """Children of the worker's own are forked from the first on."""
    until_servers_are_ready()
