"""The kinds of step, one file for each family; `recipe.py` makes the union of them."""
