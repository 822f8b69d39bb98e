"""A package that answers token by token: run greedily, its feeds captured, measured before and after."""
