"""Models of several graphs that share weights: worked on as one graph, stored as the files that they came in (0047)."""
