"""Engines for NVIDIA GPUs: built from a bundle's ONNX files, verified on the device, kept by facts."""
