"""Each message of docs/troubleshooting.md is provoked: here, or in the test that ELSEWHERE names."""

import inspect
import re
import signal
import socket
import subprocess
import sys

import grpc
import pytest
import requests

from tests import test_backend_faults, test_client, test_server
from tests.proxy import Refusal
from tests.sink import Sink
from tests.support import ROOT, free_port, wait_until

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
MESSAGES = [
    message
    for table in re.findall(r"^\| (?:it|the start line) says \|.*?(?=\n\n)", PAGE, re.M | re.S)
    for message in re.findall(r"^\| `([^`]+)` \|", table, re.M)
]
JOBS = re.findall(r"```python\n(.*?)```", PAGE, re.S)

# Settings that alone make the client say it.
SETTINGS = {
    "Tracing cannot start: …": {"OTEL_EXPORTER_OTLP_TIMEOUT": "ten"},
    "… has quotes around its value: leave them out.": {"OTEL_SERVICE_NAME": '"client"'},
    "OTEL_EXPORTER_OTLP_HEADERS must be like api-key=abc,other=def (its value is not shown here).": {
        "OTEL_EXPORTER_OTLP_HEADERS": "abc"
    },
    "OTEL_EXPORTER_OTLP_CERTIFICATE must be the path of a file, and … is none.": {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such/file.pem"
    },
    "… go together: set both, or neither.": {"OTEL_EXPORTER_OTLP_CLIENT_KEY": __file__},
    "LS_ACCESS_TOKEN must be your own token, in place of <LS_ACCESS_TOKEN>; or leave it out.": {
        "LS_ACCESS_TOKEN": "<LS_ACCESS_TOKEN>"
    },
    "DESTINATION_URL must be like http://localhost:8081/ping, without user and password.": {
        "DESTINATION_URL": "localhost:8081/ping"
    },
    "the name of the host does not resolve": {"DESTINATION_URL": "http://no-such-host.invalid/ping"},
    "no connection through http_proxy;": {"http_proxy": "http://127.0.0.1:1"},
    "Traces of test-py-manual-otlp go to …": {},
    "Tracing is off: OTEL_SDK_DISABLED is set.": {"OTEL_SDK_DISABLED": "true"},
    "Somebody else has set up tracing: …": {"OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"},
    "through the proxy of …": {"http_proxy": "http://127.0.0.1:1"},
    "Connection refused": {},
}

# Tests that provoke it already, and have it in their text.
ELSEWHERE = {
    "no connection; is the server up?": test_client.test_a_refused_connection_is_one_line_and_a_span_in_error,
    "no answer within 5 s": test_client.test_a_server_that_never_answers_is_one_line_and_a_span_in_error,
    "Redis could not be reached at …": (
        test_server.test_a_database_that_is_down_is_named_in_the_answer_with_the_trace_id
    ),
    "MongoDB could not be reached at …": test_server.test_the_log_shows_the_stack_trace_as_in_the_post,
    "WRONG_VERSION_NUMBER": test_backend_faults.test_a_mismatch_of_tls_is_in_the_log,
    "Socket closed": test_backend_faults.test_a_mismatch_of_tls_is_in_the_log,
    "CERTIFICATE_VERIFY_FAILED": test_backend_faults.test_a_mismatch_of_tls_is_in_the_log,
    "address lookup failed": test_backend_faults.test_a_host_name_that_nobody_knows_can_be_told_from_the_log,
    "Failed parsing HTTP/2": (test_backend_faults.test_a_backend_of_another_protocol_can_be_told_from_the_log),
    "UNAUTHENTICATED": test_backend_faults.test_a_refusal_costs_a_few_calls_and_lines_which_tell_the_cause,
    "RESOURCE_EXHAUSTED": test_backend_faults.test_a_backend_with_too_much_to_do_is_asked_again_later_and_later,
    "Queue full, dropping Span.": (
        test_backend_faults.test_without_a_backend_no_ping_waits_and_the_log_does_not_grow_with_the_load
    ),
}

HERE = {}  # what takes more than settings: each of the tests below that `provokes` one


def provokes(message):
    """Note that the test below provokes `message`."""

    def note(test):
        HERE[message] = test
        return test

    return note


def said(message):
    """Return the regular expression for a message of the page, in which `…` is anything."""
    return ".+".join(map(re.escape, message.split("…"))).removesuffix(".+")


def test_each_message_of_the_page_is_provoked_by_one_test():
    assert sorted(MESSAGES) == sorted([*SETTINGS, *ELSEWHERE, *HERE])


@pytest.mark.parametrize("message", ELSEWHERE)
def test_the_test_elsewhere_has_the_message_in_its_text(message):
    assert message.removesuffix("…").strip().removesuffix(".") in inspect.getsource(ELSEWHERE[message])


@pytest.mark.parametrize("message", SETTINGS)
def test_these_settings_make_the_client_say_it(start, message):
    settings = {"DESTINATION_URL": f"http://127.0.0.1:{free_port()}/ping"}
    settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    process = start("client.py", "--count", 1, **(settings | SETTINGS[message]))
    process.wait()
    assert re.search(said(message), process.err), process.err


@provokes("No module named 'opentelemetry'")
def test_a_python_that_was_not_set_up(start):
    process = start("-S", "client.py")  # without what was installed
    assert process.wait() == 1
    assert "No module named 'opentelemetry'" in process.err


@provokes("REDIS_URL cannot be read; it must be like redis://localhost:6379/0")
def test_a_redis_url_that_is_none(start):
    process = start("server.py", REDIS_URL="localhost:6379")
    process.wait()
    assert "REDIS_URL cannot be read; it must be like redis://localhost:6379/0" in process.err


@provokes("Nothing can listen on …; SERVER_PORT and SERVER_HOST name another.")
def test_a_taken_port(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("server.py", SERVER_PORT=taken.getsockname()[1])
        process.wait()
    assert re.search(r"Nothing can listen on .+; SERVER_PORT and SERVER_HOST name another\.", process.err)


@pytest.fixture
def answer(start):
    """Ping a server that answers with these bytes, and goes; return what the client says."""

    def answer(raw):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/ping"
            pinger = start("client.py", "--count", 1, DESTINATION_URL=url, OTEL_SDK_DISABLED="true")
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(raw)
            pinger.wait()
        return pinger.err

    return answer


@provokes("the connection was closed without an answer")
def test_a_server_that_closes_the_connection(answer):
    assert "failed: the connection was closed without an answer\n" in answer(b"")


@provokes("the answer is not HTTP")
def test_a_server_of_another_kind(answer):
    assert "failed: the answer is not HTTP\n" in answer(b"-ERR unknown command\r\n")


@provokes("the answer is 500")
def test_a_server_that_fails(answer):
    assert "failed: the answer is 500\n" in answer(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def ping_in_vain(start, endpoint, **settings):
    """Start a client whose pings all fail, and whose spans leave at once."""
    url = f"http://127.0.0.1:{free_port()}/ping"
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": 100} | settings
    return start("client.py", "--interval", 0.1, DESTINATION_URL=url, **settings)


@provokes("DEADLINE_EXCEEDED")
def test_a_backend_that_never_answers(start):
    with Refusal(None) as backend:
        ping_in_vain(start, backend.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT=1).wait_for("DEADLINE_EXCEEDED")


@provokes("Shutdown in progress, aborting retry.")
def test_the_end_while_the_exporter_waits_to_try_again(start):
    with Refusal(grpc.StatusCode.UNAVAILABLE) as backend:
        process = ping_in_vain(start, backend.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT=60)
        wait_until(lambda: len(backend.calls) == 3, "three tries; the next is after 4 s")
        process.stop(signal.SIGINT)
    assert "Shutdown in progress, aborting retry." in process.err


@provokes("error details: Channel closed!")
def test_the_end_while_the_backend_does_not_answer(start):
    with Refusal(None) as backend:
        process = ping_in_vain(start, backend.endpoint)
        wait_until(lambda: backend.calls, "an export")
        process.stop(signal.SIGINT)
    assert "error details: Channel closed!" in process.err


def warned(code):
    """Return what the SDK warns of, when `code` runs in a `with` block of `span`."""
    program = (
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "with trace.get_tracer('x').start_as_current_span('x') as span: pass\n"
    )
    run = subprocess.run([sys.executable, "-c", program + code], capture_output=True, text=True, check=True)
    return run.stderr


@provokes("Overriding of current TracerProvider is not allowed")
def test_a_second_provider():
    assert "Overriding of current TracerProvider is not allowed" in warned(
        "trace.set_tracer_provider(TracerProvider())"
    )


@provokes("Setting attribute on ended span.")
def test_an_attribute_that_comes_too_late():
    assert "Setting attribute on ended span." in warned("span.set_attribute('late', 1)")


@provokes("Invalid type … for attribute")
def test_an_attribute_that_is_none():
    code = "trace.get_tracer('x').start_span('x').set_attribute('object', object())"
    assert re.search(said("Invalid type … for attribute"), warned(code))


@pytest.mark.parametrize(
    ("method", "last_line", "arrive"),
    [("fork", "", 0), ("forkserver", "", 0), ("spawn", "", 3)]
    + [(method, JOBS[1].rstrip(), 3) for method in ("fork", "forkserver", "spawn")],
)
def test_of_three_spans_in_jobs_of_multiprocessing_so_many_arrive(start, sink, tmp_path, method, last_line, arrive):
    jobs = tmp_path / "jobs.py"
    jobs.write_text(JOBS[0].replace('"fork"', f'"{method}"').replace("        pass\n", f"        pass\n{last_line}\n"))
    process = start(jobs, PYTHONPATH=ROOT, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
    assert process.wait() == 0
    assert len(sink.spans) == arrive


def test_an_unsampled_caller_has_no_span_of_the_server(server, sink):
    process = server()
    header = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
    assert requests.get(f"{process.url}/redis/1", headers=header, timeout=10).status_code == 200
    assert process.stop() == 0
    assert sink.spans == []


def test_a_killed_program_loses_what_it_had_not_sent(start, sink):
    process = ping_in_vain(start, sink.endpoint, OTEL_BSP_SCHEDULE_DELAY=60_000)
    process.wait_for(r"(?s)  trace .*  trace ")
    process.stop(signal.SIGKILL)
    assert sink.spans == []


@pytest.mark.parametrize("name", ["OTEL_TRACES_EXPORTER", "OTEL_PROPAGATORS", "OTEL_EXPORTER_OTLP_PROTOCOL"])
def test_variables_of_automatic_configuration_change_nothing(start, name):
    backend = Sink()
    try:
        process = ping_in_vain(start, backend.endpoint, **{name: "http/protobuf"})
        backend.wait_for(1)
        process.stop()
    finally:
        backend.stop()
