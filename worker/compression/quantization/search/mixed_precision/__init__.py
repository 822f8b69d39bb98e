"""What `mixed_precision` chooses by: the cost and gain of each layer at each width, and bits under a budget."""
