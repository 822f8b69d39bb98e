"""The closed models that a `.pt2` is read into: torch's schema of programs, each kind checked as it is read."""
