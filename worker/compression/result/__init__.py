"""What is handed over: the file, what was measured beside the original, and the report of both."""
