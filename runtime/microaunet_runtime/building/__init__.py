"""Engines for NVIDIA GPUs: built from the ONNX files of a bundle, verified on the device, and stored."""
