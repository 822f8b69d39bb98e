"""Labels that are more than a column of numbers."""
