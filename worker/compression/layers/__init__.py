"""One layer seen as a matrix product: its weight, bias, inputs, and which of its weights are zero."""
