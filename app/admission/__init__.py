"""Can this job work? Asked at `POST`, before a worker is touched; start at `check`."""
