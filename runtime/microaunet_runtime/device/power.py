"""Power of a Jetson while frames run, from ``tegrastats``."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from types import TracebackType

from ..errors import InputError
from ..percentiles import summary

INTERVAL_MS = 200

_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+)\s+(\d+)(?:mW)?/\d+")
# The rail that feeds the whole module has another name on each generation of boards.
_TOTALS = ("VDD_IN", "POM_5V_IN", "VIN")
_PARTS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")  # AGX Orin has no total, but all that feeds it


def total_power_mw(line: str) -> float | None:
    """Milliwatts into the module, from one line of tegrastats; None if the line has no such figure."""
    rails = {name: float(milliwatts) for name, milliwatts in _RAIL.findall(line)}
    for name in _TOTALS:
        if name in rails:
            return rails[name]
    return sum(rails[name] for name in _PARTS) if set(_PARTS) <= set(rails) else None


class PowerMeter:
    """Samples the module's power between entering and leaving.

    Raises:
        InputError: on entering, when there is no tegrastats; on :meth:`figures`, when it gave no power.
    """

    def __init__(self) -> None:
        self._milliwatts: list[float] = []

    def __enter__(self) -> PowerMeter:
        if shutil.which("tegrastats") is None:
            raise InputError("--power needs tegrastats, which only a Jetson has: leave --power out here")
        self._process = subprocess.Popen(
            ["tegrastats", "--interval", str(INTERVAL_MS)], stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def figures(self, fps: float) -> dict[str, object]:
        """Milliwatts as percentiles, and millijoules per frame at ``fps`` frames a second."""
        if not self._milliwatts:
            raise InputError("tegrastats printed no total power: run it by hand, and with sudo if it asks")
        power = summary(self._milliwatts)
        return {"samples": len(self._milliwatts), "milliwatts": power, "mj_per_frame": power["mean"] / fps}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if (power := total_power_mw(line)) is not None:
                self._milliwatts.append(power)
