"""What a rule is: a node's labels from those of its inputs, noting what becomes one channel and what must stay."""

from collections.abc import Callable

from worker.compression.graph.channels.node_view import Labelled, Step

Rule = Callable[[Step], Labelled | list[Labelled]]
"""One answer for the first output or one for each; outputs without an answer have no labels."""
