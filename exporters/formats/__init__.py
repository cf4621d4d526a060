"""Export formats: a file that defines `FORMAT` is one, named after the file."""
