"""Steps that train a graph: on labels, towards a teacher, through the rounding."""
