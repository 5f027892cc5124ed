"""Suites that need torch or onnx: comparison, costs, roofline, and the evidence for the regression judge."""
