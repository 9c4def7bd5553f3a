"""Reading the environment. What cannot be used ends the program with one line that says what to do."""

import argparse
import logging
import os
import re
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment

OURS = ("OTEL_", "LS_ACCESS_TOKEN", "REDIS_URL", "MONGODB_URI", "SERVER_HOST", "SERVER_PORT", "DESTINATION_URL")
EXPORTER = "OTEL_EXPORTER_OTLP_(TRACES_)?"
HEADER = re.compile(r"[ \t]*[!#-'*+\-.0-9A-Z^-z|~]+[ \t]*=[ !#-+\--:<-\[\]-~]*")  # what the SDK takes without a warning
AROUND_THE_PROXY = "no_proxy=localhost,127.0.0.1 goes around it"


def get_setting(*variables, default=""):
    """Return the first of these environment variables (str) that is set and not blank, else `default`."""
    return next((value for name in variables if (value := os.environ.get(name, "").strip())), default)


def read_setting(variable, default, read):
    """Return `read(value)` for an environment variable; ends the program with one line when `read` raises."""
    try:
        return read(get_setting(variable, default=default))
    except Exception:  # noqa: BLE001, its text is not shown: some repeat the URL with its password
        sys.exit(f"{variable} cannot be read; it must be like {default}")


def printable(text, length=4_000):
    """Return at most `length` characters of `text` (str), none of which a terminal would obey."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:length])
    return shown if len(text) <= length >= len(shown) else f"{shown[:length]}… ({len(text)} characters)"


def check_environment():
    """Look at the settings before the SDK does; end the program with one line for what is certainly a mistake.

    Empty is as good as not set (specification, "Environment Variable Specification", "Parsing empty value").
    """
    for name in [name for name in os.environ if name.startswith(OURS)]:
        value = os.environ.pop(name).strip()
        if re.fullmatch(r"(['\"]).*\1", value):
            sys.exit(f"{name} has quotes around its value: leave them out.")
        if re.fullmatch(f"{EXPORTER}HEADERS", name) and not all(
            map(HEADER.fullmatch, filter(str.strip, value.split(",")))
        ):
            sys.exit(f"{name} must be like api-key=abc,other=def (its value is not shown here).")
        if re.fullmatch(f"{EXPORTER}(CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE)", name) and not Path(value).is_file():
            sys.exit(f"{name} must be the path of a file, and {printable(value)} is none.")
        if name == "LS_ACCESS_TOKEN" and re.fullmatch("<.*>", value):
            sys.exit("LS_ACCESS_TOKEN must be your own token, in place of <LS_ACCESS_TOKEN>; or leave it out.")
        if name == "LS_ACCESS_TOKEN" and not (value.isascii() and value.isprintable()):
            sys.exit("LS_ACCESS_TOKEN has a character that no header can hold.")
        if value:
            os.environ[name] = value
    for prefix in ("OTEL_EXPORTER_OTLP_CLIENT_", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_"):  # gRPC aborts with one alone
        if (prefix + "KEY" in os.environ) != (prefix + "CERTIFICATE" in os.environ):
            sys.exit(f"{prefix}KEY and {prefix}CERTIFICATE go together: set both, or neither.")
    # Two values that the specification has, and the exporter does not.
    compression = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"
    if get_setting(*compression).lower() == "none":
        forget(*compression)
    if re.match("https?://", get_endpoint(default=""), re.IGNORECASE):  # INSECURE is for endpoints without a scheme
        forget("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")


def forget(*variables):
    """Take these variables out of the environment."""
    for name in variables:
        os.environ.pop(name, None)


def get_endpoint(default):
    """Return where the traces go (str), as the environment says it (specification, "OTLP Exporter"), else `default`."""
    return get_setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", default=default)


def rehearse():
    """Set up tracing for a moment, and end the program with one line for a setting that the SDK refuses.

    So get_tracer meets none. What the SDK logs, it says there.
    """
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import get_tracer_provider

        get_tracer_provider()  # reads OTEL_PYTHON_TRACER_PROVIDER
        default = "https://localhost" if "LS_ACCESS_TOKEN" in os.environ else None  # TLS has settings of its own
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(get_endpoint(default))))
        provider.shutdown()
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: pip install -r requirements.txt -c constraints.txt")
    except Exception as error:  # noqa: BLE001, each setting raises its own
        names = ", ".join(sorted(name for name in os.environ if name.startswith(("OTEL_", "LS_"))))
        sys.exit(f"Tracing cannot start: {printable(str(error))} (look at {names})")
    finally:
        logging.disable(disabled)


def say_where_traces_go(resource, exporter):
    """Say on stderr which service sends where, as its Resource and its OTLPSpanExporter understood the settings."""
    if {"-h", "--help"} & set(sys.argv[1:]):  # help is help
        return
    if get_setting("OTEL_SDK_DISABLED").lower() == "true":
        print("Tracing is off: OTEL_SDK_DISABLED is set.", file=sys.stderr)
        return
    endpoint, tls = exporter._endpoint.rpartition("@")[2], not exporter._insecure
    if re.match(r"[a-z0-9-]+:(?!\d+$)", endpoint):  # in gRPC's words: dns:///host:port, unix:/path
        where = f"{endpoint} ({'with' if tls else 'without'} TLS)"
    else:
        where = f"http{'s' if tls else ''}://{endpoint}"
    print(f"Traces of {printable(resource.attributes['service.name'])} go to {printable(where)}", file=sys.stderr)
    proxy = next((name for name in ("grpc_proxy", "https_proxy", "http_proxy") if get_setting(name)), None)
    if proxy and not proxy_bypass_environment(endpoint.rpartition(":")[0], {"no": get_setting("no_proxy")}):
        print(f"through the proxy of {proxy}; {AROUND_THE_PROXY}", file=sys.stderr)


def get_destination_url():
    """Return the URL (str) to ping; ends the program with one line if that is no http(s) URL, or holds credentials."""
    url = get_setting("DESTINATION_URL", default="http://localhost:8081/ping")
    try:
        parts = urlsplit(url)
        parts.hostname.encode("idna")
        usable = parts.scheme in ("http", "https") and parts.port != 0 and "@" not in parts.netloc and url.isprintable()
    except (ValueError, AttributeError):  # no port, no host
        usable = False
    if not usable:  # it is not printed: it may hold a password
        sys.exit("DESTINATION_URL must be like http://localhost:8081/ping, without user and password.")
    return url


def get_address():
    """Return host (str) and port (int) to listen on; ends the program with one line if nothing can listen there."""
    port = read_setting("SERVER_PORT", "8081", lambda text: range(65_536).index(int(text)))
    host = read_setting("SERVER_HOST", "127.0.0.1", lambda text: socket.getaddrinfo(text, port) and text)
    try:
        socket.create_server((host, port), family=socket.getaddrinfo(host, port)[0][0]).close()
    except OSError as error:
        why = os.strerror(error.errno)
        sys.exit(f"Nothing can listen on {host}:{port} ({why}); SERVER_PORT and SERVER_HOST name another.")
    return host, port


def get_options():
    """Return the client's command line: `count` (int, or None for ever) and `interval` (float, seconds)."""
    parser = argparse.ArgumentParser(description="Ping the server at DESTINATION_URL, in one trace with it.")
    parser.add_argument("ignored", nargs="*", metavar="test", help="has no effect, as in the post")
    parser.add_argument("--count", type=int, metavar="N", help="stop after N pings (default: never)")
    parser.add_argument("--interval", type=float, default=5, metavar="SECONDS", help="between pings (default: 5)")
    options = parser.parse_args()
    if options.count is not None and options.count < 1:
        parser.error("--count must be at least 1")
    if not 0 <= options.interval < 1e9:  # written with `not`, so that NaN is refused too
        parser.error("--interval must be a number of seconds from 0 up")
    return options


check_environment()
rehearse()
