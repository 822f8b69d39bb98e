"""Measuring in processes that have done nothing else. Nothing is imported here: `fresh` measures its memory."""
