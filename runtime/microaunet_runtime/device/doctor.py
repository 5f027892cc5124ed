"""What this machine has, what is missing for microaunet, and the command that fixes each gap."""

from __future__ import annotations

import importlib
import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..errors import MicroAUNetError
from ..inference import cuda
from ..inference.tensorrt.versions import TensorRT, installed
from .clocks import TEGRA_RELEASE, Clock, cpu_clock, gpu_clock, memory_clock, temperatures
from .environment import cpu_model, memory_mb, usable_cpus
from .pip_constraint import constrain, constrained
from .power_mode import power_modes
from .system import read_text

# L4T release -> JetPack, from NVIDIA's release pages. The longest matching prefix counts.
JETPACKS = {
    "35.": "5.1",
    "36.3": "6.0",
    "36.4": "6.1 or 6.2",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5": "6.2.1 or 6.2.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
}
OLDEST_L4T = 36  # JetPack 5 has Python 3.8

NVGPU = Path("/sys/module/nvgpu")

_COMPARING = "timings that can be compared"
_LOCK_JETSON = "sudo jetson_clocks"
_LOCK_PC = "sudo cpupower frequency-set --governor performance"

_SYSTEM_SITE = (
    "python3 -m venv --system-site-packages ENV (JetPack's own build must stay the one that is used)"
)


@dataclass(frozen=True)
class Finding:
    """One thing that was examined, and how to fix it where it needs fixing.

    Attributes:
        name: what was looked at.
        found: what was found, or why it is missing.
        fix: the command or setting that fixes it; empty when nothing needs fixing.
        needed_for: what needs it.
    """

    name: str
    found: str
    fix: str = ""
    needed_for: str = ""


def examine() -> list[Finding]:
    """All findings about this machine; nothing is changed, and anything may be missing."""
    l4t = l4t_release(read_text(TEGRA_RELEASE, lines=1) or "")
    jetson = l4t is not None
    return [
        _machine(),
        _python(),
        _jetpack(l4t),
        _power(jetson),
        _clock("CPU clocks", cpu_clock(), _LOCK_JETSON if jetson else _LOCK_PC),
        _clock("GPU clocks", gpu_clock(), _LOCK_JETSON if jetson else ""),
        *(
            [_clock("memory clocks", memory_clock(), _LOCK_JETSON, "only root may read them")]
            if jetson
            else []
        ),
        _temperatures(),
        _driver(jetson),
        _gpu(),
        _binding(),
        _tensorrt(jetson),
        _module("polygraphy", "pip install 'polygraphy>=0.53'", "building engines"),
        _opencv(jetson),
        *([_constraint()] if jetson else []),
        # On a Jetson the extra would replace JetPack's OpenCV and the numpy that it was built for.
        _module(
            "onnxruntime",
            "pip install onnxruntime 'numpy<2'" if jetson else "pip install 'microaunet[cpu]'",
            "running without a GPU",
        ),
    ]


def l4t_release(line: str) -> str | None:
    """``36.4.3`` from the first line of /etc/nv_tegra_release, or None when it is no such line."""
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", line)
    return f"{found[1]}.{found[2]}" if found else None


def jetpack_of(l4t: str) -> str | None:
    """The JetPack that came with an L4T release, or None when it is not known here."""
    matches = [prefix for prefix in JETPACKS if f"{l4t}.".startswith(f"{prefix.rstrip('.')}.")]
    return JETPACKS[max(matches, key=len)] if matches else None


def _machine() -> Finding:
    board = read_text(Path("/proc/device-tree/model")) or cpu_model() or "unknown"
    memory = memory_mb()
    size = f", {memory} MiB" if memory else ""
    return Finding("board", f"{board} ({platform.machine()}, {usable_cpus()} CPUs{size})")


def _python() -> Finding:
    fix = "" if sys.version_info >= (3, 10) else "use Python 3.10 or later (JetPack 6 or later)"
    return Finding("Python", platform.python_version(), fix)


def _jetpack(l4t: str | None) -> Finding:
    if l4t is None:
        return Finding("JetPack", "not a Jetson")
    found = f"{jetpack_of(l4t) or 'unknown'} (L4T {l4t})"
    if int(l4t.split(".")[0]) < OLDEST_L4T:
        return Finding("JetPack", found, "flash JetPack 6 or later: JetPack 5 has Python 3.8", "everything")
    return Finding("JetPack", found)


def _power(jetson: bool) -> Finding:
    modes = power_modes()
    if modes is None:
        found = "nvpmodel does not answer" if jetson else "not a Jetson"
        return Finding("power mode", found, "sudo nvpmodel -q" if jetson else "")
    best = modes.strongest
    if best is None or modes.current == best:
        return Finding("power mode", modes.title)
    return Finding("power mode", modes.title, f"sudo nvpmodel -m {best}  # {modes.names[best]}", _COMPARING)


def _clock(name: str, clock: Clock | None, fix: str, unread: str = "cannot be read here") -> Finding:
    if clock is None:
        return Finding(name, unread)
    now = f"now {clock.current_mhz} MHz" if clock.current_mhz is not None else "now unknown"
    if clock.locked:
        return Finding(name, f"locked at {clock.max_mhz} MHz ({now})")
    if clock.locked is None:
        return Finding(name, f"up to {clock.max_mhz} MHz ({now})")
    return Finding(name, f"not locked, {clock.min_mhz} to {clock.max_mhz} MHz ({now})", fix, _COMPARING)


def _temperatures() -> Finding:
    found = temperatures()
    listed = ", ".join(f"{zone} {degrees:.0f} C" for zone, degrees in found.items())
    return Finding("temperatures", listed or "cannot be read here")


def _driver(jetson: bool) -> Finding:
    version = read_text(Path("/proc/driver/nvidia/version"), lines=1)
    if version is None and NVGPU.is_dir():
        return Finding("NVIDIA driver", "nvgpu, the kernel module through which Orin computes")
    if version is None:
        fix = "flash JetPack again" if jetson else "sudo apt install nvidia-driver (or your system's way)"
        return Finding("NVIDIA driver", "none is loaded", fix, "TensorRT")
    return Finding("NVIDIA driver", version)


def _gpu() -> Finding:
    try:
        gpu = cuda.device()
    except MicroAUNetError as error:
        reason = str(error).split(":")[0]
        return Finding(
            "GPU", f"cannot be queried: {reason}", "fix the driver and the CUDA binding first", "TensorRT"
        )
    kind = "integrated" if gpu.integrated else "discrete"
    capability = "{}.{}".format(*gpu.compute_capability)
    found = f"{gpu.title}, compute capability {capability}, {gpu.memory_mb} MiB, {kind}, CUDA {gpu.cuda}"
    return Finding("GPU", found)


def _binding() -> Finding:
    try:
        name = cuda.provider().name
    except MicroAUNetError:
        return Finding("CUDA binding", "neither cuda-bindings nor pycuda", cuda.REMEDY, "TensorRT")
    if name == "pycuda":
        return Finding("CUDA binding", "pycuda", cuda.REMEDY, "CUDA graphs")
    return Finding("CUDA binding", f"cuda-bindings {_version('cuda-bindings')}")


def _tensorrt(jetson: bool) -> Finding:
    fix = (
        "sudo apt install python3-libnvinfer; " + _SYSTEM_SITE if jetson else "pip install 'microaunet[rtx]'"
    )
    try:
        trt: TensorRT = installed()
    except MicroAUNetError as error:
        return Finding("TensorRT", str(error), fix, "the TensorRT backend and microaunet-build")
    return Finding("TensorRT", trt.title)


def _opencv(jetson: bool) -> Finding:
    fix = "sudo apt install python3-opencv; " + _SYSTEM_SITE if jetson else "pip install 'microaunet[cpu]'"
    try:
        cv2 = importlib.import_module("cv2")
        built = cv2.getBuildInformation()
    except Exception as error:  # a broken install raises whatever its loader raises
        if jetson and (numpy := _shadowing_numpy()):
            found = f"JetPack's was built for numpy 1 and does not import under {numpy} ({error})"
            return Finding("OpenCV", found, f"pip install 'numpy<2'; {_keep_numpy()}", "every frame")
        return Finding("OpenCV", f"cannot be imported ({error})", fix, "every frame")
    gstreamer = re.search(r"GStreamer:\s*YES", built) is not None
    found = f"{cv2.__version__}, {'with' if gstreamer else 'without'} GStreamer"
    if jetson and not gstreamer:
        return Finding("OpenCV", found, "pip uninstall opencv-python; " + _SYSTEM_SITE, "CSI cameras")
    return Finding("OpenCV", found)


def _shadowing_numpy() -> str:
    """The numpy 2 that this environment holds, e.g. ``numpy 2.2.6``; empty when it is an older one."""
    version = _version("numpy")
    return f"numpy {version}" if version and int(version.split(".")[0]) >= 2 else ""


def _keep_numpy() -> str:
    """The command that keeps numpy 1 in this environment, or makes one that can keep it."""
    return constrain(Path(sys.prefix)) if sys.prefix != sys.base_prefix else _SYSTEM_SITE


def _constraint() -> Finding:
    if where := constrained(Path(sys.prefix)):
        return Finding("pip's constraint", f"numpy<2, by {where}")
    found = "none: the next package that wants numpy 2 breaks JetPack's OpenCV"
    return Finding("pip's constraint", found, _keep_numpy(), "packages that come later")


def _module(name: str, fix: str, needed_for: str) -> Finding:
    version = _version(name)
    return Finding(name, version) if version else Finding(name, "not installed", fix, needed_for)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
