"""What can be done to one layer at a time, seen as a matrix product, from the data that reaches it."""
