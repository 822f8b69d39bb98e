import pytest

from tests.app.api.conftest import ONNX


@pytest.fixture
def onnx() -> bytes:
    return ONNX
