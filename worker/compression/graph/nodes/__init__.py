"""One node: its weight, the sizes that it sees, its multiply-accumulates, and what computing it may cost."""
