"""Each message in the tables of docs/troubleshooting.md is provoked here."""

import contextlib
import logging
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import HTTPServer, SimpleHTTPRequestHandler

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHTTP
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.proxy import Refusal
from tests.sink import Sink
from tests.support import ROOT, Process, clean_environment, wait_until

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE.split("## Nothing is said")[0], re.M)
JOBS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
NOBODY = "http://127.0.0.1:1"

# What makes a client say these messages, as its settings.
SETTINGS = [
    (
        {},
        ["Traces of test-py-manual-otlp go to …", "Connection refused"],
    ),
    (
        {"OTEL_SDK_DISABLED": "true", "DESTINATION_URL": "http://no-such-host.invalid/ping"},
        ["Tracing is off: OTEL_SDK_DISABLED is set.", "NameResolutionError"],
    ),
    (
        {
            "http_proxy": NOBODY,
            "OTEL_SERVICE_NAME": '"client"',
            "OTEL_TRACES_SAMPLER": "often",
            "OTEL_EXPORTER_OTLP_HEADERS": "abc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY.replace("http:", "https:"),
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such/file.pem",
        },
        [
            "ProxyError",
            'Traces of "…" go to …',
            "Couldn't recognize sampler …",
            "Header format invalid!",
            "Failed to read file: …",
        ],
    ),
    ({"DESTINATION_URL": "localhost:8081/ping"}, ["… cannot be read; it must be like …"]),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": ""}, ["could not convert string to float"]),
    ({"OTEL_BSP_MAX_QUEUE_SIZE": 100}, ["must be less than or equal to max_queue_size"]),
    (
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY.replace("http:", "https:"),
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "client.key",
        },
        ["Check failed: cert_chain"],
    ),
]

# What a client says to these answers. The last one never comes.
ANSWERS = {
    "RemoteDisconnected": b"",
    "BadStatusLine": b"-ERR unknown command\r\n",
    "404 Client Error": b"HTTP/1.1 404 NOT FOUND\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "500 Server Error": b"HTTP/1.1 500 INTERNAL SERVER ERROR\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "Read timed out.": None,
}

# What the exporter says, and of which backend.
EXPORTS = {
    "WRONG_VERSION_NUMBER": "https://127.0.0.1:{plain}",
    "Socket closed": "http://127.0.0.1:{tls}",
    "CERTIFICATE_VERIFY_FAILED": "https://localhost:{tls}",
    "Connection refused": NOBODY,
    "address lookup failed": "http://no-such-host.invalid:4317",
    "Failed parsing HTTP/2": "http://127.0.0.1:{http}",
    "DEADLINE_EXCEEDED": "http://127.0.0.1:{silent}",
    "UNAUTHENTICATED": "http://127.0.0.1:{strict}",
    "RESOURCE_EXHAUSTED": "http://127.0.0.1:{busy}",
}
AT_THE_END = {"Shutdown in progress, aborting retry.": "busy", "error details: Channel closed!": "silent"}

# What the SDK warns of: code in which `span` has ended.
CODE = {
    "Overriding of current TracerProvider is not allowed": "trace.set_tracer_provider(TracerProvider())",
    "Setting attribute on ended span.": "span.set_attribute('late', 1)",
    "Invalid type … for attribute": "trace.get_tracer('x').start_span('x').set_attribute('object', object())",
}

# What else happens at the last of them is held by tests/viewer/test_pages_that_send.py.
BY_HAND = [
    "first record does not look like a TLS handshake",
    "server gave HTTP response to HTTPS client",
    "No 'Access-Control-Allow-Origin' header",
]

ELSEWHERE = [  # by a test below, or in tests/test_server.py and tests/viewer/test_web_api.py
    "No module named '…'",
    "No module named viewer",
    "can't open file '…'",
    "is in use by another program",
    "redis.exceptions.ConnectionError",
    "pymongo.errors.ServerSelectionTimeoutError",
    "TSI_DATA_CORRUPTED",
    "UNAUTHENTICATED: Hostname Verification Check failed",
    "Queue full, dropping Span.",
    "BadStatusLine",
    "The viewer does not go by the name",
]


def said(message):
    """Return the regular expression for a message of the page, in which `…` is anything."""
    return ".+".join(map(re.escape, message.split("…"))).removesuffix(".+")


def test_each_message_of_the_page_is_provoked():
    provoked = [message for _, messages in SETTINGS for message in messages]
    assert sorted(MESSAGES) == sorted([*provoked, *ANSWERS, *EXPORTS, *AT_THE_END, *CODE, *BY_HAND, *ELSEWHERE])


@pytest.fixture(scope="module")
def clients(certificates):
    """One client for each of the settings, and one that has five answers; all begin at once."""
    defaults = {"DESTINATION_URL": f"{NOBODY}/ping", "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY}
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ping"
        command = (ROOT / "client.py", "--interval", 0, "--count")
        settings = {"OTEL_SDK_DISABLED": "true", "DESTINATION_URL": url}
        clients = [
            Process.python(*command, 1, env=clean_environment(**(defaults | of_client)), cwd=certificates)
            for of_client, _ in SETTINGS
        ]
        answered = Process.python(*command, len(ANSWERS), env=clean_environment(**settings))  # waits 5 s for each
        for process in [*clients, answered]:
            stack.enter_context(process)
        for answer in ANSWERS.values():
            connection = stack.enter_context(listener.accept()[0])
            connection.recv(65_536)
            if answer is not None:
                connection.sendall(answer)
                connection.close()
        yield clients, answered


@pytest.mark.parametrize("number", range(len(SETTINGS)), ids=lambda number: ", ".join(SETTINGS[number][0]) or "none")
def test_these_settings_make_the_client_say_it(clients, number):
    client = clients[0][number]
    client.wait()
    for message in SETTINGS[number][1]:
        assert re.search(said(message), client.err), message


def test_these_answers_make_the_client_say_it(clients):
    clients[1].wait()
    for message in ANSWERS:
        assert re.search(rf"Request to .* failed: .*{said(message)}", clients[1].err), message


def test_a_python_that_was_not_set_up(start):
    client = start("-S", "client.py")  # without what was installed
    assert client.wait() == 1
    assert re.fullmatch(said("ModuleNotFoundError: No module named '…'"), client.err.splitlines()[-1])


def test_a_folder_that_is_not_the_clone(start, tmp_path):
    viewer, server = start("-m", "viewer", cwd=tmp_path), start("server.py", cwd=tmp_path)
    assert (viewer.wait(), server.wait()) == (1, 2)
    assert viewer.err.endswith(": No module named viewer\n")
    assert re.search(said("can't open file '…'"), server.err)


@pytest.fixture(scope="module")
def backends(tls):
    """The ports (dict) of backends of all kinds, and {"silent": …} of those that refuse."""
    encrypted, plain = Sink(credentials=tls[1]), Sink()
    http = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    threading.Thread(target=http.serve_forever).start()
    with (
        Refusal(None) as silent,
        Refusal(grpc.StatusCode.UNAUTHENTICATED) as strict,
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED) as busy,
    ):
        ports = {"tls": encrypted.port, "plain": plain.port, "http": http.server_port}
        yield ports | {"silent": silent.port, "strict": strict.port, "busy": busy.port}
    http.shutdown()
    http.server_close()
    encrypted.stop()
    plain.stop()


@pytest.fixture
def log(caplog, monkeypatch):
    """What the SDK logs, without a pause of 20 s before it repeats a line; and no proxy stands in between."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("opentelemetry."):
            monkeypatch.setattr(logging.getLogger(name), "filters", [])
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RES_OPTIONS", "timeout:1 attempts:1")  # of the system's resolver: else it takes up to 10 s
    return lambda message: wait_until(lambda: re.search(said(message), caplog.text), message)


@contextlib.contextmanager
def exporting(exporter):
    """Send a span meanwhile."""
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("span")
    span.end()
    with ThreadPoolExecutor() as pool:
        pool.submit(exporter.export, [span])
        yield
        exporter.shutdown()


@pytest.mark.parametrize("message", EXPORTS)
def test_the_exporter_says_it_of_such_a_backend(backends, log, message):
    timeout = 0.5 if message == "DEADLINE_EXCEEDED" else 10
    with exporting(OTLPSpanExporter(endpoint=EXPORTS[message].format(**backends), timeout=timeout)):
        log(message)


@pytest.fixture
def collector(certificates):
    """The port of a backend that speaks TLS as a Collector does, and wants a client certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:

        def shake_hands():
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    with connection, contextlib.suppress(ssl.SSLError):
                        context.wrap_socket(connection, server_side=True).close()

        pool.submit(shake_hands)
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("host", "messages"),
    [
        ("localhost", ["TLSV1_ALERT_CERTIFICATE_REQUIRED", "TSI_DATA_CORRUPTED"]),
        ("127.0.0.1", ["UNAUTHENTICATED: Hostname Verification Check failed"]),
    ],
)
def test_a_backend_with_tls_that_knows_neither_us_nor_this_name_of_its_own(
    start, collector, certificates, host, messages
):
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://{host}:{collector}",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": certificates / "ca.pem",
        "DESTINATION_URL": NOBODY,
        "OTEL_BSP_SCHEDULE_DELAY": 50,
    }
    client = start("client.py", "--interval", 1, **settings)
    for message in messages:
        client.wait_for(message)


def test_otlp_over_http_that_is_sent_to_the_port_of_grpc(backends, log):
    exporter = OverHTTP(endpoint=f"http://127.0.0.1:{backends['plain']}/v1/traces")
    with exporting(exporter):
        log("BadStatusLine")


def test_the_exporters_last_words(backends, log):
    with exporting(OTLPSpanExporter(endpoint=f"http://127.0.0.1:{backends['busy']}")):
        log("RESOURCE_EXHAUSTED")
    log("Shutdown in progress, aborting retry.")
    with Refusal(None) as silent:
        with exporting(OTLPSpanExporter(endpoint=silent.endpoint)):
            wait_until(lambda: silent.calls, "an export")
        log("error details: Channel closed!")


def test_a_backend_that_is_slower_than_the_spans_come(backends, log):
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{backends['silent']}")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=2, max_export_batch_size=1))
    for _ in range(9):
        provider.get_tracer("test").start_span("span").end()
    log("Queue full, dropping Span.")
    exporter.shutdown()
    provider.shutdown()


def test_the_sdk_warns_of_such_code():
    program = (
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "with trace.get_tracer('x').start_as_current_span('x') as span: pass\n"
    ) + "\n".join(CODE.values())
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for message in CODE:
        assert re.search(said(message), run.stderr), message


def test_somebody_elses_provider_has_no_start_line(start):
    assert "**There is no such line**: `opentelemetry-instrument`, or `OTEL_PYTHON_TRACER_PROVIDER`" in PAGE
    client = start("client.py", "--count", 1, OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider", DESTINATION_URL=NOBODY)
    client.wait()
    assert client.err.startswith("{'traceparent': ")


def test_of_the_span_of_a_job_of_multiprocessing_as_much_arrives_as_the_page_says(start, sink, tmp_path):
    jobs, flushed = tmp_path / "jobs.py", tmp_path / "flushed.py"
    jobs.write_text("import os\n" + JOBS[0].replace('"fork"', "os.environ['METHOD']").replace("range(3)", "range(1)"))
    flushed.write_text(jobs.read_text().replace("        pass\n", f"        pass\n{JOBS[1]}\n"))
    settings = {"PYTHONPATH": ROOT, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
    processes = [
        start(path, **settings, METHOD=method, OTEL_SERVICE_NAME=f"{method}, {path.stem}")
        for path in (jobs, flushed)
        for method in ("fork", "forkserver", "spawn")
    ]
    assert {process.wait() for process in processes} == {0}
    arrived = {"spawn, jobs": 1, "fork, flushed": 1, "forkserver, flushed": 1, "spawn, flushed": 1}
    assert Counter(span.service for span in sink.spans) == arrived


def test_a_killed_program_loses_what_it_had_not_sent(start, sink):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "DESTINATION_URL": NOBODY}
    process = start("client.py", "--interval", 0.1, **settings, OTEL_BSP_SCHEDULE_DELAY=60_000)
    process.wait_for("(?s)traceparent.*traceparent")
    process.stop(signal.SIGKILL)
    assert sink.spans == []
