"""Pictures: decoded within bounds, placed in a frame, kept once decoded."""
