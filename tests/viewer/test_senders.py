"""Programs that others wrote, with nothing set, send to a viewer with nothing set.

Their default is port 4318 of localhost, which may be anyone's: so each test has a network of its own.
"""

import shutil
import subprocess
import sys

import pytest

from tests.support import Process, clean_environment

# Runs in the new network: starts its loopback interface, the viewer, and then the program.
WORLD = """
import fcntl, socket, struct, subprocess, sys, time
with socket.socket() as any_socket:
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
with subprocess.Popen([sys.executable, "-m", "viewer"]) as viewer:
    while True:
        try:
            socket.create_connection(("127.0.0.1", 4318)).close()
            break
        except OSError:
            time.sleep(0.02)
    subprocess.run(sys.argv[1:], check=True)
    viewer.terminate()  # it shows what came last
"""
PYTHON = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("tests").start_as_current_span("from Python"):
    pass
"""
NODE = """
import { NodeSDK } from "@opentelemetry/sdk-node";
import { trace } from "@opentelemetry/api";
const sdk = new NodeSDK();
sdk.start();
trace.getTracer("tests").startActiveSpan("from Node", (span) => span.end());
await sdk.shutdown();
"""
NODE_JSON = """
import { NodeSDK } from "@opentelemetry/sdk-node";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { trace } from "@opentelemetry/api";
const sdk = new NodeSDK({ traceExporter: new OTLPTraceExporter() });
sdk.start();
trace.getTracer("tests").startActiveSpan("from Node", (span) => span.end());
await sdk.shutdown();
"""
NODE_PACKAGES = ("@opentelemetry/sdk-node@0.223.0", "@opentelemetry/api@1.9.1")  # for Node 18.19, and 20.6 and later


@pytest.fixture(scope="module")
def world():
    """Return the command that runs a program in a network of its own, beside a viewer."""
    unshare = ("unshare", "--map-root-user", "--net")
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("a network of its own cannot be had here: `unshare --map-root-user --net true`")
    return (*unshare, sys.executable, "-c", WORLD)


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """Install opentelemetry-js, and return the folder that programs with it must stand in."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no Node here: `node`, `npm`")
    folder = tmp_path_factory.mktemp("node")
    install = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, *NODE_PACKAGES)
    try:
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip("npm takes too long to install opentelemetry-js")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot install opentelemetry-js: {error.stderr.strip()[-200:]}")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shown(world):
    """Run a program beside a viewer, and return what the viewer showed."""

    def shown(*command):
        with Process(*world, *command, env=clean_environment(VIEWER_HTTP_PORT=None)) as process:
            assert process.wait(60) == 0, process.output
            return process.output

    return shown


def test_a_python_program_with_nothing_set_shows_its_trace(shown):
    assert "from Python" in shown(sys.executable, "-c", PYTHON)


@pytest.mark.setup
@pytest.mark.parametrize("program", [NODE, NODE_JSON], ids=["as it is", "with the exporter for JSON"])
def test_a_node_program_with_nothing_set_shows_its_trace(shown, node_modules, program):
    file = node_modules / "program.mjs"
    file.write_text(program)
    assert "from Node" in shown("node", file)
