"""The twin in untraced/: the same work, without a line of tracing, and what `opentelemetry-instrument` makes of it."""

import re

import pytest
import requests

from tests.support import ROOT, Process, clean_environment, free_port

INSTRUMENTED = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_BSP_SCHEDULE_DELAY": 100,
}


@pytest.fixture
def twin(venv_auto, sink, redis_server, mongodb_server):
    """Start a program of untraced/ that ends with the test: `twin("server.py", instrumented=True)`."""
    processes = []
    port = free_port()

    def twin(program, instrumented):
        settings = {
            "REDIS_URL": redis_server.url,
            "MONGODB_URI": mongodb_server.uri,
            "SERVER_PORT": port,
            "DESTINATION_URL": f"http://127.0.0.1:{port}/ping",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
            "OTEL_SERVICE_NAME": program,
        }
        prefix = [venv_auto / "opentelemetry-instrument"] if instrumented else []
        command = [*prefix, venv_auto / "python", f"untraced/{program}"]
        process = Process(*command, env=clean_environment(**settings, **INSTRUMENTED))
        processes.append(process)
        if program == "server.py":
            process.wait_for_port(port)
        return process

    yield twin
    for process in processes:
        process.__exit__()


def test_plain_it_answers_as_ours_does_and_sends_nothing(twin, sink):
    server = twin("server.py", instrumented=False)
    twin("client.py", instrumented=False).wait_for(r"Request to http://127.0.0.1:\d+/ping, got \d+ bytes\n")
    for path in ("redis/12", "pymongo/12"):
        assert re.fullmatch("[a-z]{12}", requests.get(f"{server.url}/{path}", timeout=10).text)
    assert requests.get(f"{server.url}/redis/many", timeout=10).status_code == 404
    assert sink.spans == []


def test_instrumented_a_ping_is_one_trace_of_five_spans(twin, sink):
    twin("server.py", instrumented=True)
    twin("client.py", instrumented=True)
    first = sink.wait_for(1)[0]  # the client pings on
    sink.wait_for_trace(["GET", "GET /ping", "MSET", "GET", "opentelemetry-tests.find"], first.trace_id)


@pytest.mark.parametrize("program", ["server.py", "client.py"])
def test_it_has_not_a_line_of_tracing(program):
    code = (ROOT / "untraced" / program).read_text().partition('"""\n\n')[2].replace("opentelemetry-tests", "")
    assert "import" in code
    assert not re.search("otel|opentelemetry|trace|span", code, re.I)
