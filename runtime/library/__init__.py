"""libfedtiny: the runtime as a library that runs packed models."""
