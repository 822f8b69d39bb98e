"""How a dataset is to be read for a model: proposed from both, tried out, and shown."""
