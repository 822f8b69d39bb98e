"""Layers written as smaller ones: which splits there are, which ranks, and how the rest makes up for it."""
