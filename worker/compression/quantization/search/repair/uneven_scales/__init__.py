"""Values whose parts or channels one scale cannot hold: found, and the ways to repair them."""
