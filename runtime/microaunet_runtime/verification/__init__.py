"""Verification: whether a bundle gives on this machine what the PyTorch reference gave."""
