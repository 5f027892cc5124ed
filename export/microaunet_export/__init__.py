"""From a checkpoint to a verified bundle."""

import microaunet_runtime  # noqa: F401  (first: it turns ONNX Runtime's telemetry off)
