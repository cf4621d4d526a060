"""The named datasets; one file each, with a function `load() -> Dataset`."""
