"""The report as a page: sections of blocks, drawn by one template."""
