"""The ways in which an input can be read, by what its column holds."""
