"""The real parts that the tests talk to: an OTLP sink, two databases, the server and the client."""

import contextlib
import os
import shutil
import signal
import subprocess
import uuid

import grpc
import hypothesis
import pytest

from benchmarks.cost.variants import AUTOMATIC
from tests.sink import Sink
from tests.support import ROOT, MongoDB, Process, Redis, ask, clean_environment, free_port

# A script's background job (`make test &`) ignores one of these, `nohup` the other; what a test starts must not.
for number in signal.SIGINT, signal.SIGHUP:
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)  # the same for pytest, and not for its children

# The same examples in each run, however busy the machine is.
hypothesis.settings.register_profile(
    "ours", derandomize=True, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.load_profile("ours")

SERVER = "service.name=py-opentelemetry-manual-otlp-server,service.version=10.10.9"
CLIENT = "service.name=py-opentelemetry-manual-otlp-client,service.version=10.10.10"


@pytest.fixture
def sink():
    """An OTLP/gRPC backend on a free port."""
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with an authority's certificate, and a key and a certificate by it for server and client."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    request = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(*request, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("server", "client"):
        openssl(*request, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(*signed, "-extfile", "names", "-out", f"{name}.pem")
    return folder


@pytest.fixture(scope="session")
def tls(certificates):
    """The authority's certificate (Path), and the credentials of a backend whose own is by it."""
    pair = [(certificates / f"server.{end}").read_bytes() for end in ("key", "pem")]
    return certificates / "ca.pem", grpc.ssl_server_credentials([pair])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A Redis-protocol server for the whole run: do not stop this one."""
    folder = tmp_path_factory.mktemp("redis")
    with Redis(free_port(), folder) as redis:
        yield redis
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory):
    """A MongoDB-protocol server for the whole run: do not stop this one."""
    folder = tmp_path_factory.mktemp("mongodb")
    with MongoDB(free_port(), folder) as mongodb:
        yield mongodb
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def venv_auto():
    """The programs (Path) of .venv-auto, which is made where it is not there; takes a quarter of a minute then."""
    made = subprocess.run(["sh", "tools/venv.sh", "auto"], cwd=ROOT, capture_output=True, text=True)
    if made.returncode and "CI" not in os.environ:
        pytest.skip(f".venv-auto cannot be made: {made.stderr}")
    assert made.returncode == 0, made.stderr
    return ROOT / ".venv-auto" / "bin"


@pytest.fixture
def start():
    """Start processes that end with the test: `start(*command, **settings)`."""
    processes = []

    def start(*command, cwd=None, **settings):
        options = {"cwd": cwd} if cwd else {}
        process = Process.python(*command, env=clean_environment(**settings), **options)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.__exit__()


def server_settings(sink, redis_server, mongodb_server):
    """Return the settings of a server among the real parts, as in the post's part 2; spans leave at once."""
    return {
        "SERVER_PORT": free_port(),
        "REDIS_URL": redis_server.url,
        "MONGODB_URI": mongodb_server.uri,
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": SERVER,
        "OTEL_BSP_SCHEDULE_DELAY": 50,
    }


@pytest.fixture
def server(start, sink, redis_server, mongodb_server):
    """Start `python server.py` and wait until it listens: `server(**settings)`."""

    def server(**settings):
        settings = server_settings(sink, redis_server, mongodb_server) | settings
        return start("server.py", **settings).wait_for_port(settings["SERVER_PORT"])

    return server


@pytest.fixture(scope="session")
def shared_sink():
    """A backend for all tests that find their spans among those of the others."""
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture(scope="session")
def shared_server(shared_sink, redis_server, mongodb_server):
    """A server for all tests that need no setting of their own; its spans are in `shared_sink`."""
    settings = server_settings(shared_sink, redis_server, mongodb_server)
    with Process.python("server.py", env=clean_environment(**settings)) as process:
        yield process.wait_for_port(settings["SERVER_PORT"])


@pytest.fixture
def server_span(shared_server, shared_sink):
    """Send one request to the shared server, and return its server span: `server_span([(header, value), ...])`."""

    def server_span(headers=(), path="/redis/1"):
        query = f"n={uuid.uuid4()}"
        assert ask(shared_server.port, f"{path}?{query}", headers) == 200
        return shared_sink.wait_for_span("url.query", query)

    return server_span


def client_settings(sink):
    """Return the settings of a client, as in the post's part 2; spans leave at once."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": CLIENT,
        "OTEL_BSP_SCHEDULE_DELAY": 50,
    }


@pytest.fixture
def client(start, sink):
    """Start `python client.py` with `arguments`: `client("--count", 1, DESTINATION_URL=...)`."""

    def client(*arguments, **settings):
        return start("client.py", *arguments, **(client_settings(sink) | settings))

    return client


@pytest.fixture
def twin(venv_auto, sink, redis_server, mongodb_server):
    """Start a program of untraced/ that ends with the test: `twin("server.py", instrumented=True)`."""
    with contextlib.ExitStack() as stack:
        settings = server_settings(sink, redis_server, mongodb_server) | {"OTEL_RESOURCE_ATTRIBUTES": None}
        settings["DESTINATION_URL"] = f"http://127.0.0.1:{settings['SERVER_PORT']}/ping"

        def twin(program, instrumented):
            prefix = [venv_auto / "opentelemetry-instrument"] if instrumented else []
            environment = clean_environment(**settings, **AUTOMATIC, OTEL_SERVICE_NAME=program)
            process = Process(*prefix, venv_auto / "python", f"untraced/{program}", env=environment)
            stack.enter_context(process)
            return process.wait_for_port(settings["SERVER_PORT"]) if program == "server.py" else process

        yield twin
