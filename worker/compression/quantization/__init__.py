"""Weights and activations in few bits or few values. One kind of step, one file."""
