"""Sections on how the artifact was made: its recipe, what each step did, and where."""
