"""Export formats; one file a format."""
