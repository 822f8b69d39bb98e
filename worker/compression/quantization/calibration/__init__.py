"""Ranges of activations from data: collected in one pass, cut off by one of several rules."""
