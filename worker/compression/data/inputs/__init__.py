"""How columns become inputs: one module for each kind of declaration."""
