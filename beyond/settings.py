"""Our own environment variables, and what is said at the start.

The variables of OpenTelemetry are the SDK's affair: what it says of a bad one is what the user reads.
"""

import os
import sys
from urllib.parse import urlsplit


def read_setting(variable, default, read):
    """Return `read(value)` of an environment variable, or of `default` (str) where it is empty or not set.

    Raises ValueError, which names the variable and a right value, when `read` raises.
    """
    try:
        return read(os.environ.get(variable) or default)
    except Exception:  # noqa: BLE001, each library raises its own, and some repeat the password of a URL
        raise ValueError(f"{variable} cannot be read; it must be like {default}") from None


def check_http_url(url):
    """Return `url` (str) as it is. Raises ValueError for what is no http(s) URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:  # reading .port may raise too
        raise ValueError
    return url


def check_port(text):
    """Return a port (int). Raises ValueError for what is none; the system would take 99999 for 34463."""
    port = int(text)
    if port not in range(65_536):
        raise ValueError
    return port


def say_where_traces_go(service_name, endpoint):
    """Say on stderr which service (str) sends its traces to which endpoint (str)."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        print("Tracing is off: OTEL_SDK_DISABLED is set.", file=sys.stderr)
        return
    print(f"Traces of {service_name} go to {endpoint}", file=sys.stderr)
