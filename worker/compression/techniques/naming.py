"""Names, as techniques use them."""

from worker.compression.graph.naming import Names, excluded

__all__ = ["Names", "excluded"]
