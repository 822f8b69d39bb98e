"""What decides the trials of a search: rows in, rows out, without storage, clock or child process."""
