"""What a timing was measured on. Works anywhere: unknown facts are None; no host or user is named."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from .clocks import TEGRA_RELEASE, clocks, temperatures
from .system import command_output, read_text

PACKAGES = (
    "microaunet",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "cuda-python",
    "cuda-bindings",
    "pycuda",
)


def environment(*, backend: str, threads: int) -> dict[str, Any]:
    """The facts that a latency depends on: the machine's, and how it was used.

    Args:
        backend: the name of the backend that was measured.
        threads: the CPU threads that its session was opened with.
    """
    return {**machine(), "backend": backend, "threads": threads}


def machine() -> dict[str, Any]:
    """The machine as it is now: board, power mode, clocks, temperatures, load and versions of packages."""
    board = read_text(Path("/proc/device-tree/model"))
    return {
        "device": board or f"{cpu_model() or 'unknown CPU'} ({platform.machine()})",
        "cpu": cpu_model(),
        "cpus_usable": usable_cpus(),
        "memory_mb": memory_mb(),
        "system": f"{platform.system()} {platform.release()}",
        "l4t": read_text(TEGRA_RELEASE, lines=1),
        "gpu": command_output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "gpu_driver": read_text(Path("/proc/driver/nvidia/version"), lines=1),
        "power_mode": command_output("nvpmodel", "-q"),
        "clocks": clocks(),
        "temperatures_c": temperatures(),
        "load_average": load_average(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def cpu_model() -> str | None:
    """The processor's name, as Linux gives it."""
    for line in (read_text(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor() or None


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_mb() -> int | None:
    """Memory of the machine in MiB."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    except (AttributeError, ValueError, OSError):
        return None


def load_average() -> list[float] | None:
    """Load over 1, 5 and 15 minutes: what else was running."""
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except (AttributeError, OSError):
        return None


def versions() -> dict[str, str]:
    """Versions of the installed packages that touch a frame, read without importing them."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
