"""The candidates of `int8`: what is worth trying, which of them wins, and why layers stay float."""
