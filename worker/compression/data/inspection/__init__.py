"""What is known of a dataset before any job: its columns, what the declaration makes of them, what looks wrong."""
