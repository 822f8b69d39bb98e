"""Which layers and which settings: measured, not ruled."""
