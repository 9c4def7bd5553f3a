"""Listens, and serves HTTP in the background: the page, and OTLP/HTTP."""

import logging
import socket
import threading
from collections.abc import Callable

import waitress
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import BadRequest

MAX_REQUEST = 16 * 1024 * 1024  # bytes, unpacked


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port (a free one for 0). Raises OSError when there can be none."""
    families = {family for family, *_ in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6  # `localhost` may be ::1 alone
    return socket.create_server((host, port), family=family)


def start(app: Callable, host: str, port: int) -> int:
    """Serve a WSGI application for as long as the process lives; returns its port. Raises OSError as `listen` does."""
    # It warns when a browser opens many connections: not a line for the terminal's picture.
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    listener = listen(host, port)
    server = waitress.create_server(
        app, sockets=[listener], ident=None, threads=8, max_request_body_size=MAX_REQUEST + 1, asyncore_use_poll=True
    )
    server.channel_class = _Connection
    threading.Thread(target=server.run, name="http", daemon=True).start()
    return listener.getsockname()[1]


class _Request(HTTPRequestParser):
    """Answers at once what is no HTTP: the greeting of TLS has no last line, so both sides would wait."""

    def received(self, data: bytes) -> int:
        is_first = not (self.header_plus or self.headers_finished)
        if is_first and not (data[:1].isalpha() or data[:1] in b"\r\n"):
            self.error = BadRequest("what came is no HTTP: begin the address with http://, not with https://")
            self.completed = True
            return len(data)
        return super().received(data)


class _Connection(HTTPChannel):
    parser_class = _Request
