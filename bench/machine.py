"""The machine and the time of a measurement."""

import os
import platform
import sys
import sysconfig
from datetime import UTC, datetime
from pathlib import Path


def describe() -> dict[str, str]:
    """Return what is stored beside the figures; no host name."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} processors, {_memory()} GB",
        "python": f"{platform.python_version()} ({_build()})",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load": f"{os.getloadavg()[0]:.1f}",
        "command": " ".join(["make bench", *_options()]),
    }


def _build() -> str:
    """How CPython was built: without profile-guided optimisation it takes a quarter more of the processor."""
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return "with profile-guided optimisation"
    return "the distribution's" if sys.base_prefix == "/usr" else "without profile-guided optimisation"


def _options() -> list[str]:
    return [f'ARGS="{" ".join(sys.argv[1:])}"'] if sys.argv[1:] else []


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
