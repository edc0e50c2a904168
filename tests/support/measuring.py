"""What benchmarks share: CPU time of one thread, interleaved rounds, and one file of results."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 7
BUILD = Path(__file__).parents[2] / "build"
_PACKAGES = ("numpy", "scipy", "obspy", "aubio", "soundfile")


class Results:
    """`cells` are the figures; what else a benchmark tells is kept by name in `told`."""

    def __init__(self, name: str) -> None:
        self._path = BUILD / f"{name}.json"
        self._load = os.getloadavg()[0]
        self.cells: dict[str, float] = {}
        self.told: dict[str, Any] = {}
        self.versions = {package: _version(package) for package in _PACKAGES}

    def write(self) -> str:
        """Write build/<name>.json, and say where it is and what machine it was."""
        machine = f"{_cpu()}, {os.cpu_count()} CPU, Python {platform.python_version()}"
        whole = {"machine": machine, "load_at_start": self._load, "versions": self.versions}
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(whole | {"cells": self.cells} | self.told, indent=1))
        return f"wrote {self._path}; load {self._load:.1f}, {machine}"


def interleaved(jobs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median CPU seconds of each job, over rounds in which every job has its turn."""
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            spent[name].append(cpu_s(job))
    return {name: median(times) for name, times in spent.items()}


def cpu_s(job: Callable[[], object]) -> float:
    """CPU seconds of this process while it does the job."""
    began = time.process_time()
    job()
    return time.process_time() - began


def print_cells(cells: Mapping[str, float]) -> None:
    """One line for each."""
    for name, value in cells.items():
        print(f"  {name:40} {value:9.2f}" if value < 100 else f"  {name:40} {value:9.0f}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
