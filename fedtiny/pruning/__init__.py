"""Masks, densities and pruning methods; one file a method."""
