"""Suites that need torch or onnx: comparison, costs, roofline, and the evidence for the regression judge."""

import microaunet_runtime  # noqa: F401  (first: it turns ONNX Runtime's telemetry off)
