"""HTTP: one file per resource; errors are problems; what a route needs stands in its signature, as a type."""
