"""Before and after, measured: speed, quality, parity, memory, and what follows from them.

`compare.compare` is the entry. Nothing is imported here, so that `fresh` starts with next to nothing in memory.
"""
