"""Sounds: files that nobody vouches for become numbers between -1 and 1."""
