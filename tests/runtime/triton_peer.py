"""A server that speaks Triton's protocol (KServe v2 over gRPC) on loopback and marks what is red."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redness import presence_of, redness

pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed (microaunet[triton])")

import grpc
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as service

Answer = dict[str, tuple[str, np.ndarray]]


class TritonPeer(service.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Serves the tiny network of ``bundle``, and can be stopped and started again at the same port.

    Attributes:
        facts: name, versions, size and parameters of the model; a test changes what shall be wrong.
        answers: how many frames were answered since the start of the test.
        before: called before each answer with the number of answers so far.
        twist: changes an answer.
    """

    def __init__(self, bundle: Path) -> None:
        manifest = json.loads((bundle / "manifest.json").read_text())
        self.facts: dict[str, Any] = {
            "name": manifest["name"],
            "versions": ["1"],
            "size": (manifest["height"], manifest["width"]),
            "parameters": {"fp32_sha256": manifest["artefacts"]["fp32"]["sha256"], "precision": "fp32"},
            "ready": True,
        }
        self.answers = 0
        self.before: Callable[[int], None] = lambda number: None
        self.twist: Callable[[Answer], Answer] = lambda answer: answer
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, at the port of before."""
        self._server = grpc.server(ThreadPoolExecutor(4))
        service.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """End at once, in the middle of whatever is being answered."""
        self._server.stop(0).wait(10)

    def away(self, seconds: float) -> None:
        """Stop, and be back after ``seconds``."""
        self.stop()
        time.sleep(seconds)
        self.start()

    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ServerLiveResponse(live=True)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.name, context)
        height, width = self.facts["size"]
        tensor = messages.ModelMetadataResponse.TensorMetadata
        outputs = {
            "probability": ("FP32", [-1, 1, height, width]),
            "mask": ("UINT8", [-1, 1, height, width]),
            "presence": ("FP32", [-1, 1]),
        }
        return messages.ModelMetadataResponse(
            name=request.name,
            versions=self.facts["versions"],
            platform="redness",
            inputs=[tensor(name="frame", datatype="UINT8", shape=[-1, height, width, 3])],
            outputs=[
                tensor(name=name, datatype=kind, shape=shape) for name, (kind, shape) in outputs.items()
            ],
        )

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.name, context)
        answer = messages.ModelConfigResponse()
        answer.config.backend = "redness"
        for name, value in self.facts["parameters"].items():
            answer.config.parameters[name].string_value = value
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.model_name, context)
        if request.model_version not in self.facts["versions"]:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown version")
        self.before(self.answers)
        self.answers += 1
        frames = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(*request.inputs[0].shape)
        probability = redness(frames)
        found = self.twist(
            {
                "probability": ("FP32", probability),
                "mask": ("UINT8", (probability > 0.5).astype(np.uint8)),
                "presence": ("FP32", presence_of(probability)[:, None]),
            }
        )
        answer = messages.ModelInferResponse(model_name=request.model_name, model_version="1")
        for name, (kind, values) in found.items():
            answer.outputs.add(name=name, datatype=kind, shape=values.shape)
            answer.raw_output_contents.append(values.tobytes())
        return answer

    def _find(self, name: str, context: Any) -> None:
        if name != self.facts["name"]:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        if not self.facts["ready"]:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"'{name}' has no available versions")

    def __enter__(self) -> TritonPeer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
