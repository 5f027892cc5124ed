"""A Triton Inference Server that runs the bundle's network on another machine, over gRPC.

It must serve what ``microaunet-export --triton`` wrote from this very bundle; that is checked whenever it is
opened, on the golden frames too. Frames are sent to the address that the user gives, and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ..bundle import Bundle
from ..bundle.manifest import Manifest
from ..errors import GateError, InputError, MicroAUNetError, ServerGoneError
from ..optional import require
from .agreement import golden_agreement
from .backend import Outputs

REMEDY = "install microaunet[triton]"

ANSWER_S = 5.0
"""A server that gives no answer for this long, in seconds, counts as gone."""

_URL = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):([0-9]{1,5})")
_GONE = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "CANCELLED")
_TYPES = {"UINT8": np.dtype(np.uint8), "FP32": np.dtype(np.float32)}
_SPARE_BYTES = 1 << 20  # of a message, beside the arrays


@dataclass(frozen=True)
class ServedModel:
    """The model of a server: its version there, what runs it, and which file of the bundle it comes from."""

    version: str
    engine: str
    precision: str


class TritonServer:
    """The server at ``url``, as a backend that can be opened.

    Args:
        url: ``HOST:PORT`` of its gRPC service.

    Raises:
        InputError: it is no such address.
    """

    def __init__(self, url: str) -> None:
        found = _URL.fullmatch(url)
        if not found or not 0 < int(found[2]) < 1 << 16:
            raise InputError(f"--url {url!r}: give HOST:PORT of Triton's gRPC service, such as server:8001")
        self.url = url

    def open(self, bundle: Bundle, precision: str | None, threads: int) -> TritonBackend:
        """Connect, and compare what is served with the bundle: contract, origin, and golden frames.

        Args:
            threads: unused; the server has its own.

        Raises:
            ServerGoneError: no server answers, or it does not serve the model.
            InputError: it serves another model or another precision.
            GateError: it gives other answers on the golden frames than the tolerance allows.
            MissingDependencyError: tritonclient is not installed.
        """
        backend = TritonBackend(self.url, bundle.manifest)
        try:
            if precision not in (None, backend.precision):
                raise InputError(
                    f"the server at {self.url} serves {backend.precision}, not {precision}: "
                    "leave out --precision, or serve the other repository"
                )
            tolerance = bundle.manifest.tolerances[backend.precision]
            agreement = golden_agreement(backend, bundle.golden(), bundle.manifest.threshold)
            # What the server runs on, only the server knows: the wider limit of a GPU.
            if shortfall := agreement.shortfall(tolerance, gpu=True):
                raise GateError(
                    f"the server at {self.url} gives other answers on golden frames ({shortfall}): "
                    "write its repository again with microaunet-export --triton"
                )
        except BaseException:
            backend.close()
            raise
        return backend

    def unavailable(self, bundle: Bundle, precision: str | None) -> str:
        """Why the server cannot run ``precision`` of ``bundle``; empty when it can."""
        try:
            backend = TritonBackend(self.url, bundle.manifest)
        except InputError as error:
            return str(error)
        backend.close()
        return "" if precision in (None, backend.precision) else f"the server serves {backend.precision}"


class TritonBackend:
    """A connection to the model of a server. Once it is lost it stays lost: another one has to be opened."""

    name = "triton"

    def __init__(self, url: str, manifest: Manifest) -> None:
        """Connect, and check contract and origin of the model ``manifest.name``.

        Raises:
            ServerGoneError, InputError, MissingDependencyError: see :meth:`TritonServer.open`.
        """
        self._grpc = require("tritonclient.grpc", REMEDY)
        self._failure: type[Exception] = require("tritonclient.utils", REMEDY).InferenceServerException
        self._url = url
        self._model = manifest.name
        self._shapes = _contract(manifest.height, manifest.width)
        self._input = self._grpc.InferInput("frame", [1, *self._shapes["frame"][1]], "UINT8")
        self._outputs = [self._grpc.InferRequestedOutput(name) for name in Outputs._fields]
        most_bytes = 8 * manifest.height * manifest.width + _SPARE_BYTES
        # To the address itself: a proxy that the environment names would see the frames. A channel of its
        # own: gRPC would keep the waiting time of an earlier one to the same address.
        options = {
            "grpc.enable_http_proxy": 0,
            "grpc.use_local_subchannel_pool": 1,
            "grpc.max_send_message_length": most_bytes,
            "grpc.max_receive_message_length": most_bytes,
        }
        self._lost = ""
        self._client: Any = self._grpc.InferenceServerClient(f"dns:///{url}", channel_args=[*options.items()])
        try:
            self._served = self._check(manifest)
        except BaseException:
            self.close()
            raise
        self.precision = self._served.precision
        self.note = f"{self._model} version {self._served.version}, {self._served.engine} at {url}"

    def infer(self, frame: np.ndarray) -> Outputs:
        """The outputs for a frame uint8 (1, H, W, 3) RGB.

        Raises:
            InputError: the backend was closed.
            ServerGoneError: the server does not answer, now or at an earlier frame.
            MicroAUNetError: it refuses the frame, or its answer is not what the contract says.
        """
        if self._client is None:
            raise InputError("this session was closed: open another one")
        if self._lost:
            raise ServerGoneError(self._lost)
        self._input.set_data_from_numpy(frame)
        try:
            answer = self._client.infer(
                self._model,
                [self._input],
                model_version=self._served.version,
                outputs=self._outputs,
                client_timeout=ANSWER_S,
            )
        except self._failure as error:
            if _status(error) in _GONE:
                self._lost = f"the Triton server at {self._url} is gone ({_said(error)})"
                raise ServerGoneError(self._lost) from error
            raise MicroAUNetError(f"the Triton server at {self._url} failed ({_said(error)})") from error
        return Outputs(
            probability=self._array(answer, "probability"),
            mask=self._array(answer, "mask"),
            presence=self._array(answer, "presence")[0],
        )

    def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _array(self, answer: Any, name: str) -> np.ndarray:
        kind, shape = self._shapes[name]
        try:
            found = answer.as_numpy(name)
        except Exception as error:  # whatever a wrong number of bytes makes numpy raise
            raise self._odd(name, str(error)) from error
        if found is None or found.dtype != _TYPES[kind] or found.shape != (1, *shape):
            got = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise self._odd(name, f"{got}, expected {kind} {[1, *shape]}")
        return found

    def _odd(self, name: str, what: str) -> MicroAUNetError:
        return MicroAUNetError(f"the Triton server at {self._url} gave a {name} that cannot be used ({what})")

    def _check(self, manifest: Manifest) -> ServedModel:
        """What is served, after it was compared with ``manifest``."""
        try:
            self._client.is_server_live(client_timeout=ANSWER_S)
        except self._failure as error:
            raise ServerGoneError(
                f"no Triton server answers at {self._url} ({_said(error)}): start it, or give --url "
                "the port of its gRPC service (by default 8001)"
            ) from error
        try:
            metadata = self._client.get_model_metadata(self._model, client_timeout=ANSWER_S)
            config = self._client.get_model_config(self._model, client_timeout=ANSWER_S).config
        except self._failure as error:
            self._not_served(error)
        self._check_contract(metadata)
        facts = {name: value.string_value for name, value in config.parameters.items()}
        if facts.get("fp32_sha256") != manifest.artefacts["fp32"].sha256:
            raise InputError(
                f"{self._model} at {self._url} was not made from this bundle: serve what microaunet-export "
                "--triton wrote with it, or give --bundle the other one"
            )
        precision = facts.get("precision", "")
        if precision not in manifest.tolerances:
            raise InputError(
                f"{self._model} at {self._url} says precision {precision!r}, which the bundle lacks: "
                "write its repository again with microaunet-export --triton"
            )
        if not (versions := [version for version in metadata.versions if version.isdecimal()]):
            raise ServerGoneError(f"{self._model} at {self._url} has no version that is ready")
        return ServedModel(max(versions, key=int), config.backend or config.platform, precision)

    def _not_served(self, error: Exception) -> NoReturn:
        what = (
            f"serves no model {self._model}"
            if _status(error) == "NOT_FOUND"
            else f"does not serve {self._model} now ({_said(error)})"
        )
        raise ServerGoneError(
            f"the Triton server at {self._url} {what}: give it the repository that microaunet-export "
            "--triton wrote from this bundle, and read its log"
        ) from error

    def _check_contract(self, metadata: Any) -> None:
        found = {
            tensor.name: (tensor.datatype, tuple(tensor.shape))
            for tensor in (*metadata.inputs, *metadata.outputs)
        }
        wanted = {name: (kind, (-1, *shape)) for name, (kind, shape) in self._shapes.items()}
        if len(metadata.inputs) != 1 or found != wanted:
            raise InputError(
                f"{self._model} at {self._url} takes and gives {_listed(found)}, expected {_listed(wanted)}: "
                "serve what microaunet-export --triton wrote from this bundle"
            )


def _contract(height: int, width: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of each tensor of one frame, as Triton counts: without the batch."""
    return {
        "frame": ("UINT8", (height, width, 3)),
        "probability": ("FP32", (1, height, width)),
        "mask": ("UINT8", (1, height, width)),
        "presence": ("FP32", (1,)),
    }


def _listed(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> str:
    found = ", ".join(f"{name} {kind} {list(shape)}" for name, (kind, shape) in sorted(tensors.items()))
    return found[:500] or "nothing"


def _status(error: Any) -> str:
    return str(error.status()).removeprefix("StatusCode.")


def _said(error: Any) -> str:
    """The first line of what gRPC or the server said."""
    lines = str(error.message() or "").strip().splitlines()
    return lines[0][:300] if lines else _status(error)
