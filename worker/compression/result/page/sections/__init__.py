"""What the page says, one section a file: each makes its blocks of the report and of what was seen for the page."""
