"""Order: what takes longest comes first, so that the processes that share the tests end together."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "integration" not in item.path.parts)
