"""Engines for NVIDIA GPUs: built from a bundle's ONNX files, verified on the device, kept by facts."""

from .building import BuiltEngine, available_builder, build, build_every
from .compiling import BuildRefusedError
from .engines import Engine

__all__ = ["BuildRefusedError", "BuiltEngine", "Engine", "available_builder", "build", "build_every"]
