"""Recipes worth trying where something is not met, each a request that can be sent as it is."""
