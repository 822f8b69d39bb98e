"""What an answer depends on besides its input: measured in a few runs of both models."""
