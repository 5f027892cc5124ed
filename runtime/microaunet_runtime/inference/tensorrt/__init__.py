"""TensorRT and TensorRT-RTX: what is installed, a bundle's engines, and the backend that runs one."""
