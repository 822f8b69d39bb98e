"""What a training minimises, whom it learns from, and what has to fit before it begins."""
