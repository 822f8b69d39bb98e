"""Whole channels are cut out: what each is worth, how many go, and the repair afterwards."""
