"""What `python client.py` prints and records of each ping, and how it ends."""

import itertools
import re
import signal
import socket
import threading

import pytest

from tests.conftest import client_settings
from tests.support import Process, clean_environment, free_port


class Answering:
    """A server that gives each request the next of these raw answers (bytes)."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://localhost:{self.listener.getsockname()[1]}/ping"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65_536).decode())
                connection.sendall(self.answers.pop(0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def http(status, body=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


@pytest.fixture(scope="module")
def pings(shared_sink):
    """A client that has pinged four times: the server, the client's process, and the four spans."""
    answers = http(200, b"hello"), http(404), b"SSH-2.0-OpenSSH_9.2p1\r\n", http(200, b"hello")[:-2]
    with Answering(*answers) as server:
        settings = client_settings(shared_sink) | {"DESTINATION_URL": server.url}
        arguments = ("client.py", "test", "--count", 4, "--interval", 0.2)
        with Process.python(*arguments, env=clean_environment(**settings)) as client:
            assert client.wait() == 1
            trace_ids = re.findall(r"^{'traceparent': '00-(\w{32})-", client.err, re.M)
            traces = [shared_sink.wait_for_trace(["client operation"], trace_id) for trace_id in trace_ids]
            yield server, client, [trace["client operation"] for trace in traces]


def test_it_prints_the_posts_lines_and_sums_up(pings):
    server, client, _ = pings
    assert client.out == f"Request to {server.url}, got 5 bytes\n4 pings, 3 failed\n"


def test_one_ping_is_one_ping(client):
    pinger = client("--count", 1, DESTINATION_URL=f"http://localhost:{free_port()}/ping")
    assert pinger.wait() == 1
    assert pinger.out == "1 ping, 1 failed\n"


def test_before_each_ping_the_carrier_is_on_stderr_and_its_header_arrives(pings):
    server, client, spans = pings
    carriers = [f"00-{span.trace_id}-{span.span_id}-03" for span in spans]  # sampled, and random
    assert re.findall("^{'traceparent': '(.*)'}$", client.err, re.M) == carriers
    assert re.findall("(?im)^traceparent: (.*?)\r$", "".join(server.requests)) == carriers
    order = re.findall("^({'traceparent'|Request to)", client.err, re.M)
    assert order == ["{'traceparent'"] + ["{'traceparent'", "Request to"] * 3  # the first went well


def test_what_failed_is_said_in_the_words_of_requests(pings):
    server, client, _ = pings
    said = re.findall(f"^Request to {server.url} failed: (.*)$", client.err, re.M)
    assert said[0] == f"404 Client Error: X for url: {server.url}"
    assert "BadStatusLine" in said[1]
    assert "IncompleteRead(3 bytes read, 2 more expected)" in said[2]


def test_an_answer_of_400_or_more_is_a_span_in_error_without_an_exception(pings):
    span = pings[2][1]
    assert (span.status, span.message, span.events) == ("ERROR", "", [])
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("404", 404)


@pytest.mark.parametrize(("ping", "error"), [(2, "ConnectionError"), (3, "ChunkedEncodingError")])
def test_no_answer_is_a_span_in_error_with_the_exception(pings, ping, error):
    span = pings[2][ping]
    assert (span.status, span.attributes["error.type"]) == ("ERROR", f"requests.exceptions.{error}")
    assert "http.response.status_code" not in span.attributes
    [(name, event)] = span.events
    assert (name, event["exception.type"]) == ("exception", span.attributes["error.type"])
    assert "Traceback (most recent call last)" in event["exception.stacktrace"]


def test_it_waits_the_interval_between_two_pings(pings):
    assert all(later.start - earlier.end >= 0.2e9 for earlier, later in itertools.pairwise(pings[2]))


def test_a_server_that_never_answers_is_given_up_after_5_s(client, sink):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pinger = client("--count", 1, DESTINATION_URL=f"http://localhost:{silent.getsockname()[1]}/ping")
        assert pinger.wait() == 1
    [span] = sink.wait_for(1)
    assert span.attributes["error.type"] == "requests.exceptions.ReadTimeout"
    assert span.end - span.start >= 5e9


def test_user_and_password_of_its_url_are_in_no_span(client, sink):
    port = free_port()
    pinger = client("--count", 1, DESTINATION_URL=f"http://user:secret@localhost:{port}/ping")
    assert pinger.wait() == 1
    [span] = sink.wait_for(1)
    assert span.attributes["url.full"] == f"http://REDACTED:REDACTED@localhost:{port}/ping"
    assert "secret" not in str(sink.requests)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_failed_ping_a_signal_ends_it_with_1(client, number):
    pinger = client("--interval", 2, DESTINATION_URL=f"http://localhost:{free_port()}/ping")
    pinger.wait_for("failed")
    assert pinger.stop(number) == 1
    assert "Traceback" not in pinger.output


def test_without_settings_it_pings_the_posts_address(client):
    with Answering(http(200)) as proxy:  # which is asked, in place of whoever really listens there
        assert client("--count", 1, http_proxy=proxy.url, OTEL_SDK_DISABLED="true").wait() == 0
    assert proxy.requests[0].startswith("GET http://localhost:8081/ping HTTP/1.1")
