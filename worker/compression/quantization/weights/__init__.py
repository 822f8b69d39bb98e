"""Weights of few bits: which layers can have them, rounding them, writing them."""
