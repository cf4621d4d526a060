"""The C99 runtime, its kernel table, and what runs it in process on the host."""
