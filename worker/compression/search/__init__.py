"""Choosing: what each layer costs and gains, and which candidate meets what is asked. By measuring, not by rules."""
