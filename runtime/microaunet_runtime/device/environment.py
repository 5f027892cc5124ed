"""What a timing was measured on. Works anywhere: what it cannot tell is None; no host or user is named."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

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

_CPUS = Path("/sys/devices/system/cpu")


def environment(*, backend: str, threads: int) -> dict[str, Any]:
    """The facts that a latency depends on.

    Args:
        backend: the name of the backend that was measured.
        threads: the CPU threads that its session was opened with.
    """
    board = read_text(Path("/proc/device-tree/model"))
    return {
        "device": board or f"{cpu_model() or 'unknown CPU'} ({platform.machine()})",
        "cpu": cpu_model(),
        "cpus_usable": usable_cpus(),
        "memory_mb": memory_mb(),
        "system": f"{platform.system()} {platform.release()}",
        "l4t": read_text(Path("/etc/nv_tegra_release"), lines=1),
        "gpu": command_output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "gpu_driver": read_text(Path("/proc/driver/nvidia/version"), lines=1),
        "power_mode": command_output("nvpmodel", "-q"),
        "clocks": clocks(),
        "load_average": load_average(),
        "backend": backend,
        "threads": threads,
        "python": platform.python_version(),
        "versions": versions(),
    }


def clocks() -> dict[str, Any]:
    """CPU clocks in MHz with their governor; ``locked``: every CPU has one possible speed, None if unknown.

    ``jetson_clocks`` locks by setting the lowest allowed speed to the highest, which is what is looked at.
    """
    policies = [cpu / "cpufreq" for cpu in sorted(_CPUS.glob("cpu[0-9]*")) if (cpu / "cpufreq").is_dir()]
    ranges = [(_mhz(policy / "scaling_min_freq"), _mhz(policy / "scaling_max_freq")) for policy in policies]
    known = [(low, high) for low, high in ranges if low is not None and high is not None]
    return {
        "governor": read_text(policies[0] / "scaling_governor") if policies else None,
        "min_mhz": min((low for low, _ in known), default=None),
        "max_mhz": max((high for _, high in known), default=None),
        "locked": all(low == high for low, high in known) if known else None,
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


def command_output(*command: str) -> str | None:
    """What a system tool prints, or None when it is missing, fails, or takes more than five seconds."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def read_text(path: Path, lines: int | None = None) -> str | None:
    """The text of a system file (its first ``lines``), or None when there is none."""
    try:
        text = path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None
    return "\n".join(text.splitlines()[:lines]) or None


def _mhz(path: Path) -> int | None:
    text = read_text(path)
    return int(text) // 1000 if text and text.isdigit() else None
