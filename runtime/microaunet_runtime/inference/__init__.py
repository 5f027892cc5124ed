"""Inference: a session runs frames on a backend, and there is one backend per way to run a graph."""
