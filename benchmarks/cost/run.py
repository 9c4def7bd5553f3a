"""What names a run: when it was, and on what."""

import datetime
import os
import platform
from importlib.metadata import version


def the_run() -> dict[str, object]:
    """Return what names a run: when and on what it was."""
    return {
        "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "sdk": version("opentelemetry-sdk"),
        "load average": round(os.getloadavg()[0], 1),  # before it began: who else was at work
    }
