"""Which rows can be read: files that cannot be decoded, and how many may be left out."""
