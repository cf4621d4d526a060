"""Datasets and non-IID partitioning."""
