"""How weights lie in a file: few bits, few values, zeros in little space, and what a file need not say."""
