"""What a worker has done besides `compress()`: the end of a search, a page made again, a student as a model."""
