"""Front doors: everything that produces a graph."""
