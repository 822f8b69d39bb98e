"""Which operator set a graph uses; raising it as little as needed, and lowering it again."""
