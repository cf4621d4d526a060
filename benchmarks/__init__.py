"""What prints the figures that docs/ states: `python -m benchmarks.NAME`."""
