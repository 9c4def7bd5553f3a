"""Nothing is lost at exit, and nobody waits for it."""

import re
import signal
import socket
import sys
import time

import pytest
import requests

from tests.support import free_port, wait_until

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
LATER = {"OTEL_BSP_SCHEDULE_DELAY": 60_000}  # only the last export can send what the test awaits


@SIGNALS
def test_the_server_delivers_every_ended_span(server, sink, number):
    process = server(**LATER)
    for _ in range(3):
        requests.get(f"{process.url}/ping", timeout=10)
    assert process.stop(number) == 0
    assert len(sink.spans) == 15
    assert "Traceback" not in process.output


@SIGNALS
def test_the_client_delivers_every_ended_span(server, client, sink, number):
    process = server(OTEL_SDK_DISABLED="true")
    pinger = client("--interval", 0.01, DESTINATION_URL=f"{process.url}/ping", **LATER)
    wait_until(lambda: pinger.out.count("Request to") >= 3, "three pings")
    assert pinger.stop(number) == 0
    told = re.findall(r"  trace (\w{32})", pinger.err)
    assert set(told) <= {span.trace_id for span in sink.spans}


def test_a_client_that_is_done_delivers_its_spans(client, sink):
    pinger = client("--count", 2, "--interval", 0.01, DESTINATION_URL=f"http://localhost:{free_port()}/", **LATER)
    pinger.wait()
    assert len(sink.spans) == 2


@pytest.fixture(params=["none listens", "one never answers"])
def dead_backend(request):
    """The URL of a backend that takes no span."""
    if request.param == "none listens":
        yield f"http://localhost:{free_port()}"
    else:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@SIGNALS
def test_without_a_backend_the_server_is_gone_in_time(server, dead_backend, number):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend, **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    start = time.monotonic()
    assert process.stop(number) == 0
    assert time.monotonic() - start < 6  # promised: 3
    assert "Traceback" not in process.output


@SIGNALS
def test_without_a_backend_the_client_is_gone_in_time(client, dead_backend, number):
    # A signal that meets Python on its way into sleep() is heeded only at the end of that: hence the short interval.
    url = f"http://localhost:{free_port()}/"
    pinger = client("--interval", 1, DESTINATION_URL=url, OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend, **LATER)
    pinger.wait_for("failed")
    start = time.monotonic()
    pinger.stop(number)
    assert time.monotonic() - start < 6  # promised: 3
    assert "Traceback" not in pinger.output


def test_with_nothing_to_send_it_is_gone_at_once(server, dead_backend):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend)
    start = time.monotonic()
    process.stop()
    assert time.monotonic() - start < 2


@SIGNALS
def test_a_second_signal_ends_it_at_once(server, number):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://localhost:{free_port()}", **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    process.send(number)
    process.wait_for("Transient error")  # the last export has begun
    start = time.monotonic()
    process.stop(number)
    assert time.monotonic() - start < 1.5
    assert "Traceback" not in process.output


def test_spans_that_could_not_be_sent_are_mentioned(server):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://localhost:{free_port()}", **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    process.stop()
    assert "UNAVAILABLE" in process.err


def test_without_a_backend_the_exporter_says_itself_what_it_lost_and_is_shut_down_once(server):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://localhost:{free_port()}", **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    assert process.stop() == 0
    assert re.search("Failed to export traces to localhost:.*UNAVAILABLE.*Connection refused", process.err)
    assert "already shutdown" not in process.err


def test_with_a_backend_that_never_answers_the_log_says_so(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = server(OTEL_EXPORTER_OTLP_ENDPOINT=url, **LATER)
        requests.get(f"{process.url}/ping", timeout=10)
        assert process.stop() == 0
    assert "Failed to export traces" in process.err
    assert "already shutdown" not in process.err


def test_an_export_that_is_being_tried_again_does_not_hold_the_end(server):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://localhost:{free_port()}", OTEL_EXPORTER_OTLP_TIMEOUT=60)
    requests.get(f"{process.url}/ping", timeout=10)
    process.wait_for("Transient error .*Connection refused")
    start = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - start < 6  # promised: 3
    assert "already shutdown" not in process.err
    assert "Traceback" not in process.err


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminal hangs up here")
def test_a_terminal_that_is_closed_loses_no_span(server, client, sink):
    process = server(**LATER)
    pinger = client("--interval", 60, DESTINATION_URL=f"{process.url}/ping", **LATER)
    pinger.wait_for("  trace ")
    assert pinger.stop(signal.SIGHUP) == 0
    assert process.stop(signal.SIGHUP) == 0
    assert len(sink.spans) == 6


def test_nohup_keeps_its_word(server, start, sink):
    settings = {"DESTINATION_URL": f"{server().url}/ping", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    pinger = start("-c", code, sys.executable, "client.py", "--interval", 0.01, **settings)
    pinger.wait_for("got")
    pinger.send(signal.SIGHUP)
    seen = pinger.out.count("got")
    wait_until(lambda: pinger.out.count("got") > seen + 5, "it goes on")
    assert pinger.stop() == 0


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "waitress", "--listen=127.0.0.1:PORT", "server:app"),
        ("-m", "flask", "--app", "server", "run", "--port=PORT"),
        ("-m", "gunicorn", "--bind=127.0.0.1:PORT", "--no-control-socket", "server:app"),
        ("-m", "gunicorn", "--bind=127.0.0.1:PORT", "--no-control-socket", "--threads=4", "server:app"),
    ],
    ids=["waitress", "flask run", "gunicorn sync", "gunicorn gthread"],
)
def test_whatever_serves_the_app_no_span_is_lost_at_sigterm(start, sink, redis_server, mongodb_server, command):
    port = free_port()
    databases = {"REDIS_URL": redis_server.url, "MONGODB_URI": mongodb_server.uri}
    command = [part.replace("PORT", str(port)) for part in command]
    process = start(*command, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **databases, **LATER).wait_for_port(port)
    for _ in range(6):
        assert requests.get(f"http://127.0.0.1:{port}/ping", timeout=10).status_code == 200
    assert process.stop() == 0
    assert len(sink.spans) == 30
    assert "Traceback" not in process.output


@pytest.mark.parametrize("program", ["client.py", "server.py"])
def test_ctrl_c_at_any_moment_of_the_start_is_no_stack_trace(start, program):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "DESTINATION_URL": "http://127.0.0.1:1/"}
    for moment in range(12):
        process = start("-X", "importtime", program, SERVER_PORT=free_port(), **settings)
        process.wait_for(r"\| +beyond\n")  # the moments before are Python's own
        time.sleep(moment / 12)  # another moment each time, not a wait for something
        process.send(signal.SIGINT)
        process.wait()
        assert "Traceback" not in process.output, f"after {moment / 12} s: {process.output}"


def test_a_program_that_is_not_of_this_folder_keeps_its_own_ctrl_c(start):
    code = "import common, signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    process = start("-c", code)
    process.wait()
    assert process.out == "True\n"


def test_a_signal_that_somebody_has_taken_stays_theirs(start):
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('mine'))\n"
        "import common; common.get_tracer()\n"
        "os.kill(os.getpid(), signal.SIGTERM); print('still here')"
    )
    process = start("-c", code)
    assert process.wait() == 0
    assert process.out == "mine\nstill here\n"


def test_what_a_signal_leaves_half_made_says_nothing(start):
    half = "class Half:\n    def __del__(self):\n        raise AttributeError('fp')"
    code = f"import time, common\n{half}\ncommon.get_tracer()\nhalf = Half()\nprint('up', flush=True)\ntime.sleep(60)"
    process = start("-c", code, OTEL_TRACES_SAMPLER="always_off")
    process.wait_for("up")
    assert process.stop(signal.SIGTERM) == 0
    assert "Traceback" not in process.output
