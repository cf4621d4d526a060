"""Times an export's C program beside stock runtimes, on this machine."""
