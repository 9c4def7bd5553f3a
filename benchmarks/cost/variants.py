"""The same server, traced in five ways."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import ROOT

UNTRACED = ROOT / "untraced"  # the same programs without a line of tracing
VENV_AUTO = ROOT / ".venv-auto" / "bin"


@dataclass
class Variant:
    """A way to trace: which server.py, and with which settings."""

    name: str
    folder: Path = ROOT  # where its server.py is
    programs: Path = Path(sys.executable).parent  # those of its virtual environment
    instrumented: bool = False  # by opentelemetry-instrument
    spans: int = 5  # of a ping
    every: int = 1  # of so many pings one is sampled
    settings: dict[str, str] = field(default_factory=dict)


AUTOMATIC = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}

VARIANTS = [
    Variant("none", UNTRACED, VENV_AUTO, spans=0),
    Variant("off", spans=0, settings={"OTEL_SDK_DISABLED": "true"}),
    Variant("sampled", every=100),
    Variant("by hand"),
    Variant("automatic", UNTRACED, VENV_AUTO, instrumented=True, spans=4, settings=AUTOMATIC),
]
