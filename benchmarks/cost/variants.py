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
    spans: int = 5  # of a ping, in the server
    every: int = 1  # of so many pings one is sampled
    settings: dict = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The Python that has what these programs import."""
        return VENV_AUTO / "python" if self.twin else Path(sys.executable)

    @property
    def folder(self) -> Path:
        """Where its server.py and client.py are."""
        return ROOT / "auto" if self.twin else ROOT

    def environment(self, backend: str, **settings: object) -> dict[str, str]:
        """Return the environment of a program that sends its spans to `backend`, a URL."""
        return clean_environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=backend,
            OTEL_SERVICE_NAME=self.name,
            OTEL_RESOURCE_ATTRIBUTES="service.version=10.10.9",
            **self.settings | settings,
        )


AUTOMATIC = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
SAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}

VARIANTS = [
    Variant("none", twin=True, spans=0),
    Variant("off", spans=0, settings={"OTEL_SDK_DISABLED": "true"}),
    Variant("sampled", every=100, settings=SAMPLED),
    Variant("by hand"),
    Variant("automatic", twin=True, instrumented=True, spans=4, settings=AUTOMATIC),
]

BY_NAME = {variant.name: variant for variant in VARIANTS}
