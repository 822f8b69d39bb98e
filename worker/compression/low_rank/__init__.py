"""Layers written as smaller ones: which ways there are, which ranks, and how the rest makes up for it."""
