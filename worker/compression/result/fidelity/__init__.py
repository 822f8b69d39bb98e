"""Whether the result looks at the same parts of its inputs as the original."""
