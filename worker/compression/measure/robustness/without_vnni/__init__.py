"""What 8-bit products become on a CPU that adds two of them in 16 bits, simulated."""
