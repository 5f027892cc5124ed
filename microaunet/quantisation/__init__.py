"""INT8: which tensors are quantised, and training with that rounding simulated."""
