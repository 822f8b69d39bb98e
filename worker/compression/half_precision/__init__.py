"""Float16 and bfloat16: what may be stored or computed in half, and what overflows or vanishes there."""
