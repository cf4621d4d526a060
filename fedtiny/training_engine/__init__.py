"""Training that computes active weights only: a step in C, arranged for a network and its masks."""
