"""What makes a graph easier to quantize without changing what it computes."""
