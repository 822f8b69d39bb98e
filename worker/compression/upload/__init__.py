"""The model as received: inspected, and as the steps see it."""
