"""What all techniques share: what they are given, what they decide about each layer, targets, opsets."""
