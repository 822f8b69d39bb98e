"""What a graph is: inputs, weights, parameters, multiply-accumulates."""
