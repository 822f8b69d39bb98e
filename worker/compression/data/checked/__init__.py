"""Which rows of a table can be used: what is wrong with the others, and the table without them."""
