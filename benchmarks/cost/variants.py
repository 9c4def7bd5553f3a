"""The five programs that are compared: the same pings, traced in five ways."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import ROOT, clean_environment

VENV_AUTO = ROOT / ".venv-auto" / "bin"


@dataclass
class Variant:
    """A way to trace: whose programs, and with which settings."""

    name: str
    twin: bool = False  # auto/ instead of the three files
    instrumented: bool = False  # by opentelemetry-instrument
    sampled: float = 1.0  # which share of the pings leaves a trace
    settings: dict = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The Python that has what these programs import."""
        return VENV_AUTO / "python" if self.twin else Path(sys.executable)

    @property
    def folder(self) -> Path:
        """Where its server.py and client.py are."""
        return ROOT / "auto" if self.twin else ROOT

    def traces(self, number: int) -> bool:
        """Return whether the caller has sampled its ping of that number: every one, or one in a hundred."""
        return number % round(1 / self.sampled) == 0

    def environment(self, backend: str, **settings: object) -> dict[str, str]:
        """Return the environment of a program that sends its spans to `backend`, a URL."""
        return clean_environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=backend,
            OTEL_RESOURCE_ATTRIBUTES="service.name=py-opentelemetry-manual-otlp-server,service.version=10.10.9",
            **self.settings | settings,
        )


AUTOMATIC = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
SAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}

VARIANTS = [
    Variant("none", twin=True),
    Variant("off", settings={"OTEL_SDK_DISABLED": "true"}),
    Variant("sampled", sampled=0.01, settings=SAMPLED),
    Variant("by hand"),
    Variant("automatic", twin=True, instrumented=True, settings=AUTOMATIC),
]
