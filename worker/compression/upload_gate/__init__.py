"""Untrusted bytes end here: what a file has to pass before a library works on it, archives, other formats."""
