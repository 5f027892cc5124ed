"""Clocks of CPU, GPU and memory, and temperatures: what makes two timings of one machine differ.

``jetson_clocks`` locks a clock by raising its lowest allowed speed to the highest, by which a locked
clock is recognised here. Only root can read the memory clock (EMC).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .system import command_output, read_int, read_text

CPUS = Path("/sys/devices/system/cpu")
DEVFREQ = Path("/sys/class/devfreq")
EMC = Path("/sys/kernel/debug/bpmp/debug/clk/emc")
THERMAL = Path("/sys/class/thermal")
TEGRA_RELEASE = Path("/etc/nv_tegra_release")

_SMI = "clocks.sm,clocks.max.sm,temperature.gpu"


@dataclass(frozen=True)
class Clock:
    """The clock of one part of the machine in MHz; None where it cannot be read.

    Attributes:
        min_mhz, max_mhz: what is allowed now; over several units the lowest and the highest.
        current_mhz: of the fastest unit.
        locked: only one speed is allowed.
    """

    min_mhz: int | None
    max_mhz: int | None
    current_mhz: int | None
    locked: bool | None


def clocks() -> dict[str, Any]:
    """``cpu``, ``gpu`` and ``memory`` as :class:`Clock`, or None; the CPU's ``governor``; and ``locked``.

    ``locked`` is False when any clock that can be read is free. It is None when none can be read, and on a
    Jetson whose GPU's clock cannot: the CPU's alone says nothing about inference.
    """
    parts = {"cpu": cpu_clock(), "gpu": gpu_clock(), "memory": memory_clock()}
    told = [clock.locked for clock in parts.values() if clock and clock.locked is not None]
    gpu_told = parts["gpu"] is not None and parts["gpu"].locked is not None
    unknown = not told or (TEGRA_RELEASE.exists() and not gpu_told)
    return {
        **{name: asdict(clock) if clock else None for name, clock in parts.items()},
        "governor": read_text(CPUS / "cpu0" / "cpufreq" / "scaling_governor"),
        "locked": False if False in told else None if unknown else True,
    }


def cpu_clock() -> Clock | None:
    """The clock of all CPUs together."""
    policies = [cpu / "cpufreq" for cpu in sorted(CPUS.glob("cpu[0-9]*"))]
    return _joined(
        Clock(
            *_range(
                policy / "scaling_min_freq", policy / "scaling_max_freq", policy / "scaling_cur_freq", 1000
            )
        )
        for policy in policies
        if policy.is_dir()
    )


def gpu_clock() -> Clock | None:
    """The clock of a Jetson's GPU, or of a PC's as nvidia-smi gives it, without limits."""
    units = [path for path in sorted(DEVFREQ.glob("*")) if "gpu" in path.name or "ga10b" in path.name]
    found = _joined(
        Clock(*_range(unit / "min_freq", unit / "max_freq", unit / "cur_freq", 1_000_000)) for unit in units
    )
    if found or (smi := _smi()) is None:
        return found
    current, most, _ = smi
    return Clock(None, most, current, None) if most else None


def memory_clock() -> Clock | None:
    """The clock of a Jetson's memory, which only root may read."""
    low, high, current, _ = _range(EMC / "min_rate", EMC / "max_rate", EMC / "rate", 1_000_000)
    override = read_int(EMC / "mrq_rate_locked")
    if current is None:
        return None
    return Clock(low, high, current, None if override is None else override == 1 and current == high)


def temperatures() -> dict[str, float]:
    """Degrees Celsius by the name of the sensor's zone; zones that are switched off are left out."""
    found = {}
    for zone in sorted(THERMAL.glob("thermal_zone*")):
        name, value = read_text(zone / "type"), read_int(zone / "temp")
        if name and value is not None and value > -100_000:  # -256 degrees: the sensor's part has no power
            found[name] = round(value / 1000, 1)
    if (smi := _smi()) and smi[2] is not None:
        found["gpu"] = float(smi[2])
    return found


def _range(
    low: Path, high: Path, current: Path, per_mhz: int
) -> tuple[int | None, int | None, int | None, bool | None]:
    lowest, highest, now = (read_int(path) for path in (low, high, current))
    mhz = [None if value is None else value // per_mhz for value in (lowest, highest, now)]
    locked = None if lowest is None or highest is None else lowest == highest
    return mhz[0], mhz[1], mhz[2], locked


def _joined(units: Iterable[Clock]) -> Clock | None:
    known = [unit for unit in units if unit.min_mhz is not None and unit.max_mhz is not None]
    if not known:
        return None
    return Clock(
        min(unit.min_mhz for unit in known if unit.min_mhz is not None),
        max(unit.max_mhz for unit in known if unit.max_mhz is not None),
        max((unit.current_mhz for unit in known if unit.current_mhz is not None), default=None),
        all(unit.locked for unit in known),
    )


def _smi() -> list[int | None] | None:
    """The first GPU's current and highest clock in MHz, and its temperature; a Jetson's tool knows none."""
    output = command_output("nvidia-smi", f"--query-gpu={_SMI}", "--format=csv,noheader,nounits")
    if output is None:
        return None
    values = [int(value) if value.strip().isdigit() else None for value in output.splitlines()[0].split(",")]
    return values if len(values) == 3 else None
