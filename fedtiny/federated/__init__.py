"""The fleet: clients, engines, checkpoints, accounting."""
