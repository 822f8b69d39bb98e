"""What a graph does for nothing goes: nodes that change nothing, moves in a row, what is computed twice."""
