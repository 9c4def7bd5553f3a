"""What `python client.py` prints, and how it ends."""

import re
import signal
import socket
import subprocess
import threading

import pytest

from tests.support import Process, clean_environment, free_port, wait_until


@pytest.fixture
def answering():
    """A server that gives each request the same raw answer: `answering(bytes)` returns its URL."""
    listeners = []

    def answering(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://localhost:{listener.getsockname()[1]}/ping"

    yield answering
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def http(status, body=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


def test_each_ping_prints_the_posts_line_and_on_stderr_its_trace_id(client, answering, sink):
    url = answering(http(200, b"hello"))
    pinger = client("test", "--count", 1, DESTINATION_URL=url)
    assert pinger.wait() == 0
    assert pinger.out.splitlines() == [f"Request to {url}, got 5 bytes", "1 pings, 0 failed"]
    assert pinger.err.splitlines()[1:] == [f"  trace {sink.wait_for(1)[0].trace_id}"]


def test_it_stops_after_count_pings(client, answering):
    pinger = client("--count", 3, "--interval", 0.01, DESTINATION_URL=answering(http(200)))
    assert pinger.wait() == 0
    assert pinger.out.count("Request to") == 3
    assert pinger.out.splitlines()[-1] == "3 pings, 0 failed"


def test_it_waits_the_interval_between_two_pings(client, answering, sink):
    pinger = client("--count", 2, "--interval", 1, DESTINATION_URL=answering(http(200)))
    assert pinger.wait() == 0
    first, second = sink.wait_for(2)
    assert second.start - first.end >= 1e9


def test_it_goes_on_until_ctrl_c_and_sums_up(client, answering):
    pinger = client("test", "--interval", 0.01, DESTINATION_URL=answering(http(200)))
    wait_until(lambda: pinger.out.count("Request to") > 3, "pings")
    assert pinger.stop(signal.SIGINT) == 0
    assert re.fullmatch(r"\d+ pings, 0 failed", pinger.out.splitlines()[-1])
    assert "Traceback" not in pinger.output


def test_a_line_leaves_in_one_piece_so_that_no_signal_cuts_it(answering):
    url = answering(http(200))
    settings = {"DESTINATION_URL": url, "OTEL_SDK_DISABLED": "true", "PYTHONUNBUFFERED": "1"}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # it keeps each write apart
    with (
        ours,
        theirs,
        Process.python("client.py", "--count", 1, env=clean_environment(**settings), stdout=theirs) as pinger,
    ):
        assert pinger.wait() == 0
        ours.settimeout(5)
        assert ours.recv(1_000) == f"Request to {url}, got 0 bytes\n".encode()
        assert ours.recv(1_000) == b"1 pings, 0 failed\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_failed_ping_a_signal_ends_it_with_1(client, number):
    pinger = client("--interval", 0.01, DESTINATION_URL=f"http://localhost:{free_port()}/ping")
    pinger.wait_for(r"(?s)failed.*failed")
    assert pinger.stop(number) == 1
    assert "Traceback" not in pinger.output


@pytest.mark.parametrize("status", [400, 404, 500, 599, 999])
def test_an_answer_of_400_or_more_is_one_line_and_a_span_in_error(client, answering, sink, status):
    url = answering(http(status))
    pinger = client("--count", 2, "--interval", 0.01, DESTINATION_URL=url)
    assert pinger.wait() == 1
    span = sink.wait_for(2)[0]
    assert f"Request to {url} failed: the answer is {status}\n  trace {span.trace_id}\n" in pinger.err
    assert (span.status, span.message, span.events) == ("ERROR", "", [])
    assert span.attributes["error.type"] == str(status)
    assert span.attributes["http.response.status_code"] == status
    assert pinger.out.splitlines()[-1] == "2 pings, 2 failed"


def test_a_refused_connection_is_one_line_and_a_span_in_error(client, sink):
    url = f"http://localhost:{free_port()}/ping"
    pinger = client("--count", 1, DESTINATION_URL=url)
    assert pinger.wait() == 1
    [span] = sink.wait_for(1)
    why = "no connection; is the server up?"
    assert f"Request to {url} failed: {why}\n  trace {span.trace_id}\n" in pinger.err
    assert (span.status, span.message) == ("ERROR", why)
    assert span.attributes["error.type"] == "requests.exceptions.ConnectionError"
    assert "http.response.status_code" not in span.attributes
    [(name, event)] = span.events
    assert (name, event["exception.type"]) == ("exception", "requests.exceptions.ConnectionError")
    assert "Connection refused" in event["exception.message"]
    assert "Traceback (most recent call last)" in event["exception.stacktrace"]


def test_a_server_that_never_answers_is_one_line_and_a_span_in_error(client, sink):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://localhost:{listener.getsockname()[1]}/ping"
        pinger = client("--count", 1, DESTINATION_URL=url)
        assert pinger.wait() == 1
    [span] = sink.wait_for(1)
    assert f"Request to {url} failed: no answer within 5 s\n  trace {span.trace_id}\n" in pinger.err
    assert (span.status, span.attributes["error.type"]) == ("ERROR", "requests.exceptions.ReadTimeout")


@pytest.mark.parametrize("location", [b"http://\xff/", b"http://[::1/", b"http://a..b/", b"/" * 2])
def test_a_redirect_to_what_is_no_url_is_one_line_and_a_span_in_error(client, answering, sink, location):
    url = answering(b"HTTP/1.1 302 X\r\nLocation: " + location + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    pinger = client("--count", 2, "--interval", 0.01, DESTINATION_URL=url)
    assert pinger.wait() == 1
    assert pinger.err.count(f"Request to {url} failed: ") == 2
    assert "Traceback" not in pinger.err
    assert [(span.status, "error.type" in span.attributes) for span in sink.wait_for(2)] == [("ERROR", True)] * 2


def test_the_loop_goes_on_after_a_failure(client, server):
    port = free_port()
    pinger = client("--interval", 0.05, DESTINATION_URL=f"http://localhost:{port}/ping")
    pinger.wait_for("no connection")
    server(SERVER_PORT=port)
    pinger.wait_for(r"got \d+ bytes")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8081/ping",
        "ftp://localhost/ping",
        "redis://localhost:6379/0",
        "http://",
        "http:///ping",
        "http://localhost:port/",
        "http://localhost:99999/",
        "http://[::1",
        "http://a..b/",
        "mailto:somebody",
        "nonsense",
        "x" * 10_000,
    ],
)
def test_a_destination_that_is_no_http_url_is_refused_at_start(client, url):
    pinger = client("--count", 1, DESTINATION_URL=url)
    assert pinger.wait() == 1
    assert pinger.err.splitlines()[-1].startswith("DESTINATION_URL must be like http://localhost:8081/ping")
    assert "Traceback" not in pinger.err
    assert pinger.out == ""


def test_a_destination_with_credentials_is_refused_and_not_shown(client):
    pinger = client("--count", 1, DESTINATION_URL="http://user:secret@localhost/ping")
    assert pinger.wait() == 1
    assert "without user and password" in pinger.err
    assert "secret" not in pinger.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--count", "0"),
        ("--count", "-1"),
        ("--count", "x"),
        ("--interval", "-1"),
        ("--interval", "nan"),
        ("--interval", "inf"),
        ("--nope",),
    ],
)
def test_a_bad_option_is_one_clear_line(client, arguments):
    pinger = client(*arguments)
    assert pinger.wait() == 2
    assert "error: " in pinger.err.splitlines()[-1]
    assert "Traceback" not in pinger.err


def test_help_explains_the_options(client):
    pinger = client("--help")
    assert pinger.wait() == 0
    for word in ("test", "--count N", "--interval SECONDS", "DESTINATION_URL"):
        assert word in pinger.out


def test_without_settings_it_pings_the_posts_address():
    with Process.python("client.py", "--count", 1, env=clean_environment()) as pinger:
        pinger.wait()
        assert "Request to http://localhost:8081/ping" in pinger.output


def test_a_reader_that_goes_ends_it_quietly(client, answering):
    url, sending = answering(http(200)), subprocess.PIPE
    with Process.python(
        *("client.py", "--interval", 0.01),
        env=clean_environment(DESTINATION_URL=url, OTEL_SDK_DISABLED="true", PYTHONUNBUFFERED=""),
        stdout=sending,
    ) as pinger:
        with pinger.stdout:  # as `| head -1` does
            assert pinger.stdout.readline() == f"Request to {url}, got 0 bytes\n".encode()
        assert pinger.wait() == 0
        lines = pinger.err.splitlines()
    assert all(line.startswith(("Tracing is off", "  trace ")) for line in lines), lines


def test_a_full_disk_is_one_line_and_no_failed_ping(answering):
    settings = {"DESTINATION_URL": answering(http(200)), "OTEL_SDK_DISABLED": "true"}
    with (
        open("/dev/full", "w") as full,
        Process.python("client.py", "--interval", 0.01, env=clean_environment(**settings), stdout=full) as pinger,
    ):
        assert pinger.wait() == 1
        assert pinger.err.splitlines()[-1] == "The output cannot be written: No space left on device."
        assert "failed" not in pinger.err
        assert "Traceback" not in pinger.err


def test_an_answer_that_is_not_http_is_said(client, answering):
    pinger = client("--count", 1, DESTINATION_URL=answering(b"SSH-2.0-OpenSSH_9.2p1\r\n"))
    assert pinger.wait() == 1
    assert "failed: the answer is not HTTP\n" in pinger.err


def test_a_connection_that_closes_without_an_answer_is_said(client, answering):
    pinger = client("--count", 1, DESTINATION_URL=answering(b""))
    assert pinger.wait() == 1
    assert "failed: the connection was closed without an answer\n" in pinger.err


def test_a_host_name_that_does_not_resolve_is_said(client):
    pinger = client("--count", 1, DESTINATION_URL="http://no-such-host.invalid/ping")
    assert pinger.wait() == 1
    assert "failed: the name of the host does not resolve\n" in pinger.err


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_that_is_not_there_is_said_and_the_way_around_it(client, variable):
    pinger = client("--count", 1, **{variable: f"http://127.0.0.1:{free_port()}"})
    assert pinger.wait() == 1
    reason = "no connection through http_proxy;\n  no_proxy=localhost,127.0.0.1 goes around it\n"
    assert f"Request to http://localhost:8081/ping failed: {reason}" in pinger.err


def test_no_proxy_goes_around_the_proxy(client, answering, sink):
    settings = {"http_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": "localhost,127.0.0.1"}
    pinger = client("--count", 1, DESTINATION_URL=answering(http(200)), **settings)
    assert pinger.wait() == 0
    sink.wait_for(1)
    assert "through the proxy" not in pinger.err


SIGNED = "?colour=blue&sig=secret1&X-Amz-Signature=secret2&AWSAccessKeyId=secret3#top"
REDACTED = "?colour=blue&sig=REDACTED&X-Amz-Signature=REDACTED&AWSAccessKeyId=REDACTED#top"


def test_signatures_are_in_no_span_and_in_no_line(client, answering, sink):
    for url, code in (answering(http(200)), 0), (f"http://localhost:{free_port()}/", 1):
        pinger = client("--count", 1, DESTINATION_URL=url + SIGNED)
        assert pinger.wait() == code
        assert f"Request to {url}{REDACTED}" in pinger.output
        assert "secret" not in pinger.output
    answered, refused = sink.wait_for(2)
    assert answered.attributes["url.full"].endswith(REDACTED)
    assert "Max retries exceeded with url: /?colour=blue&sig=REDACTED" in refused.events[0][1]["exception.message"]
    assert not [request for request in sink.requests if "secret" in str(request)]


def test_an_answer_that_breaks_off_is_recorded_as_the_exception(client, answering, sink):
    pinger = client("--count", 1, DESTINATION_URL=answering(http(200, b"12345")[:-3]))
    assert pinger.wait() == 1
    [span] = sink.wait_for(1)
    assert span.status == "ERROR"
    assert span.events[0][1]["exception.type"] == span.attributes["error.type"]
