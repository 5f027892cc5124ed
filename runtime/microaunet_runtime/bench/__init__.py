"""Measuring bundles on the device: latency, the regression judge, and what the machine was. Never torch."""
