"""Benchmark suites: each module is one suite and one command, ``python -m benchmarks.NAME``.

``measuring`` holds what they share, ``shipping`` the commands that write into the cards of the shipped
weights, ``results`` their figures, and ``baselines`` what the regression gate compares with.
"""

import microaunet_runtime  # noqa: F401  (first: it turns ONNX Runtime's telemetry off)
