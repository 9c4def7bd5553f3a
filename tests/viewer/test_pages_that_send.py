"""Pages of other sites that send spans from a real browser, as the web exporters of OpenTelemetry do."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import tests.viewer.browsing  # noqa: F401, skips all where its library is not installed
from tests.support import wait_until
from tests.viewer.otlp import request, span
from tests.viewer.test_otlp_json import as_json
from viewer import otlp_http
from viewer.store import Store

BEACON = "navigator.sendBeacon(url, new Blob([body], {type: 'application/json'}))"  # of the exporters up to 0.57
WITH_CREDENTIALS = "(await fetch(url, {method: 'POST', body, headers, credentials: 'include'})).text()"
PLAIN = "(await fetch(url, {method: 'POST', body, headers})).text()"


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def origins():
    """Two sites, each with an empty page: of one the viewer knows, of the other not."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [f"http://localhost:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def send(context, origins):
    """Send a span from a page: `send(origin, script)`; the store, and what the viewer said, are its attributes."""
    page = context.new_page()

    def send(origin, script):
        page.goto(origin)
        url = f"http://localhost:{port}/v1/traces"
        send_it = f"async ([url, body, headers]) => {script}"
        return page.evaluate(send_it, [url, as_json(request(span())).decode(), {"Content-Type": "application/json"}])

    send.store, send.said = Store(), []
    port = otlp_http.start(send.store, "127.0.0.1", 0, origins[:1], send.said.append)
    yield send
    page.close()


@pytest.mark.parametrize("script", [BEACON, WITH_CREDENTIALS, PLAIN], ids=["beacon", "with credentials", "plain"])
def test_a_page_whose_origin_is_named_sends(send, origins, script):
    assert send(origins[0], script) in (True, "{}")
    wait_until(lambda: send.store.kept() == 1, "the span")
    assert send.said == []


@pytest.mark.parametrize("script", [BEACON, PLAIN], ids=["beacon", "plain"])
def test_who_may_not_send_is_said_and_what_would_let_it(send, origins, script):
    send(origins[1], f"{{ try {{ {script} }} catch {{ /* the browser refuses */ }} }}")
    wait_until(lambda: send.said, "what the viewer says")
    assert send.said[0].startswith(f"Pages of {origins[1]} wanted to send")
    assert send.said[0].endswith(f"VIEWER_CORS_ORIGINS={origins[0]},{origins[1]}")
    assert send.store.kept() == 0
