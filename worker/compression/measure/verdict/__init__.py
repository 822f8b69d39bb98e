"""What follows from the figures: requirements, recommendation, and the result in plain words."""
