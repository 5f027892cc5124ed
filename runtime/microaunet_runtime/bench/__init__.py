"""Measuring bundles on the device: latency, and whether a candidate is slower than its baseline. Never torch."""
