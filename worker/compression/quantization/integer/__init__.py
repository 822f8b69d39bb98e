"""Graphs of integers: which layers, in which operators, for which hardware, and writing them."""
