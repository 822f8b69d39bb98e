"""Channels that can be scaled together, so that the network computes what it did (cf. Nagel et al. 2019)."""
