"""Labels: which channel every index of every axis of a graph belongs to."""
