"""A rule gives a node's labels from those of its inputs, and notes what becomes one channel and what must stay."""

from collections.abc import Callable

from worker.compression.graph.channels.node_view import Labelled, NodeView

Rule = Callable[[NodeView], Labelled | list[Labelled]]
"""One answer for the first output or one for each; outputs without an answer have no labels."""
