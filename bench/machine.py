"""What the figures were measured on."""

import os
import platform
from pathlib import Path

import psutil


def describe() -> str:
    """One line: processor, cores, memory, system, Python, and how busy it was with other work."""
    busy = psutil.cpu_percent(interval=1.0)
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}; {busy:.0f} % busy with other work before the run"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
