"""Start the viewer: `python -m viewer [FILE ...]`. It runs until Ctrl+C or SIGTERM."""

import argparse
import ipaddress
import os
import signal
import sys
import threading
from pathlib import Path

LAST_REQUESTS = 0.5  # seconds for the requests that are under way at the end
LAST_PICTURES = 2  # seconds for the traces that are not shown yet


def main(below=None, hint: str = "") -> None:
    """Run the viewer until Ctrl+C or SIGTERM.

    below, hint: what stands below each picture, and what is said while nothing comes, as Terminal takes them.
    """
    files = read_arguments()
    try:
        run(files, below, hint)
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: pip install -r requirements-demo.txt -c constraints.txt")


def read_arguments() -> list[Path]:
    """Return the files to show. Prints a help text when that is asked for."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {Path(sys.argv[0]).parent.name}",  # lesson, or viewer
        description="Take spans over OTLP, and show their traces here and on a page, until Ctrl+C.",
        epilog="All settings are environment variables; docs/settings.md lists them.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="saved traces to show too, in OTLP JSON")
    return parser.parse_args().files


def run(files: list[Path], below=None, hint: str = "") -> None:
    """Take spans and show traces until a signal comes; the traces in `files` are there from the start.

    Ends with status 1 and one line when it cannot start.
    """
    from rich.console import Console  # only now: --help needs nothing that pip has to install

    from viewer import otlp_http, otlp_json, receiver, web
    from viewer.store import Store
    from viewer.terminal import Terminal

    leaving = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, frame: leaving.set())
    host = os.environ.get("VIEWER_HOST", "").strip() or "127.0.0.1"
    store = Store(setting("VIEWER_MAX_TRACES", 1_000, 1), setting("VIEWER_MAX_SPANS", 200_000, 1))
    otlp_port = setting("VIEWER_OTLP_PORT", 4317, 0, 65_535)
    http_port = setting("VIEWER_HTTP_PORT", 4318, 0, 65_535)
    web_port = setting("VIEWER_WEB_PORT", 16686, 0, 65_535)
    try:
        origins = otlp_http.read_origins(os.environ.get("VIEWER_CORS_ORIGINS", ""))
    except ValueError as error:
        sys.exit(f"viewer: VIEWER_CORS_ORIGINS must name origins, separated by commas; {error}")
    console = Console(highlight=False, markup=False, emoji=False)
    terminal = Terminal(store, console, below=below)
    for path in files:
        try:
            otlp_json.add_file(store, path.read_bytes())
        except otlp_json.PartlyRead as problem:
            terminal.say(f"{path}: {problem}")
        except (OSError, ValueError) as error:
            sys.exit(f"viewer: cannot show {path}: {getattr(error, 'strerror', None) or error}")
    try:
        variable = "VIEWER_OTLP_PORT"
        server, otlp_port = receiver.start(store, host, otlp_port)
        variable = "VIEWER_HTTP_PORT"
        http_port = otlp_http.start(store, host, http_port, origins, terminal.say)
        variable = "VIEWER_WEB_PORT"
        web_port = web.start(store, host, web_port, otlp_port, http_port, hint)
    except OSError as error:
        sys.exit(f"viewer: {error.strerror}. Set VIEWER_HOST or {variable} to listen elsewhere.")
    if not is_loopback(host):
        print(
            f"viewer: warning: VIEWER_HOST={host} lets others on the network send spans and read them: "
            "there is no password",
            file=sys.stderr,
        )

    address = f"http://{f'[{host}]' if ':' in host else host}"
    endpoint = f"{address}:{otlp_port}"
    console.print(f"The viewer takes OTLP/gRPC on {endpoint}", soft_wrap=True)
    console.print(f"and OTLP/HTTP on {address}:{http_port}", soft_wrap=True)
    console.print(f"and shows the traces on {address}:{web_port}", end="\n\n", soft_wrap=True)
    terminal.hint = (
        hint
        or f"""No spans yet. In two other terminals: python server.py, python client.py test
Or in any program with OpenTelemetry, for OTLP/gRPC or for OTLP/HTTP:
OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}
OTEL_EXPORTER_OTLP_ENDPOINT={address}:{http_port}"""
    )
    threading.Thread(target=terminal.run, args=(bool(files),), name="terminal", daemon=True).start()
    while not (leaving.is_set() or terminal.ended.wait(0.2)):
        pass
    server.stop(LAST_REQUESTS).wait()
    terminal.leaving.set()
    terminal.ended.wait(LAST_PICTURES)


def setting(name: str, default: int, least: int, most: int = 10**9) -> int:
    """Return a whole number from the environment. Ends the program with one line when it is none, or out of range."""
    text = os.environ.get(name, "").strip() or str(default)
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        sys.exit(f"viewer: {name} must be a whole number from {least:,} to {most:,}, not {text[:40]!r}")
    return value


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()
