"""Ways to run a graph: one file per backend."""
