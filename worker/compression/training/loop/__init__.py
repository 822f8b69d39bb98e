"""One training: batches in, better weights out. `train` is its way from top to bottom."""
