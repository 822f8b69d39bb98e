"""Learning from values inside a teacher: which of them, brought to one form, and compared."""
