"""Who asks, and what they may do: keys, tokens, sessions, links, and how many requests. Knows no HTTP."""
