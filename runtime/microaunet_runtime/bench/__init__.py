"""Measuring bundles on the device: latency, and whether one is slower than a baseline. Without torch."""
