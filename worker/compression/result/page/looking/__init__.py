"""What is measured for the page alone, in bounded time and memory."""
