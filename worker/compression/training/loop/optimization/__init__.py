"""From gradients to weights: one step downhill, its learning rate, averages of weights, and losses that explode."""
