"""What app and worker agree on, and what goes over the wire: pydantic and the standard library only."""
