"""What a training is fed with: rows as tensors, augmented on the way, where it runs."""
