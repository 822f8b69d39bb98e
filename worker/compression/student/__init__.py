"""A smaller network of the same kind is made out of the graph."""
