"""What a child does, a module for whatever is imported together: heavy, and after the task is known."""
