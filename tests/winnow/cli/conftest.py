import signal
from pathlib import Path

import pytest

from tests.support.digits import DECLARATION, Digits, digits

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""Started behind `&` or nohup, the tests would hand their children signals that are ignored."""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def declaration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("declaration") / "digits.json"
    path.write_text(DECLARATION.model_dump_json())
    return path
