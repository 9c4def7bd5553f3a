"""Serves HTTP in the background, the page and OTLP/HTTP, so that nobody keeps others out."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakSet

import waitress
from waitress.buffers import OverflowableBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error, RequestEntityTooLarge

from viewer.receiver import MAX_REQUEST

PATIENCE = 30  # seconds that a connection may do nothing, or a reader not read, before it makes room
SENDING = 10  # seconds in which a request has to be whole
CONNECTIONS = 500  # open at a time; for one more, the one leaves whose latest request is the oldest
SPOOLED = 1_000_000_000  # bytes of an answer that wait in a file for a slow reader, and not in a thread
MAX_WAITING = 4 * MAX_REQUEST  # bytes of all requests that are on their way or wait for their turn
TOO_LARGE = f"more than {MAX_REQUEST:,} bytes"
IN_MEMORY = 64_000  # bytes of a request or an answer that wait in memory; what is more goes to that file


def start(app: Callable, host: str, port: int, name: str, channel: type["Channel"] | None = None, **options) -> int:
    """Serve a WSGI application for as long as the process lives; returns its port (a free one for 0).

    Raises OSError, with a line fit for a reader, when it cannot listen there.
    """
    # It warns when a browser opens many connections: not a line for the terminal's picture.
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        why = str(getattr(error, "strerror", None) or error).partition(" (while")[0]  # the rest repeats the address
        raise OSError(f"cannot listen on {host}, port {port}: {why}") from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # on Linux; elsewhere a reader that stops reading keeps its answer
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * PATIENCE)
    server = waitress.create_server(
        app,
        sockets=[listener],
        ident=None,
        asyncore_use_poll=True,  # select() ends at 1,024 connections, those of senders counted in
        connection_limit=2 * CONNECTIONS,
        channel_timeout=PATIENCE,
        cleanup_interval=5,
        inbuf_overflow=IN_MEMORY,
        outbuf_overflow=IN_MEMORY,
        outbuf_high_watermark=SPOOLED,
        **options,
    )
    server.channel_class = channel or Channel
    threading.Thread(target=server.run, name=name, daemon=True).start()
    return listener.getsockname()[1]


class Full(Error):
    """Refuses a request for now."""

    code = 503
    reason = "Service Unavailable"


class Body(OverflowableBuffer):
    """The body of a request as it comes. Where it finds no room it is passed over, so that its sender hears why."""

    bodies: ClassVar[WeakSet["Body"]] = WeakSet()  # all that are not given up yet, of all servers
    lock = threading.Lock()  # each server has a thread of its own that reads
    error: Error | None = None

    def __init__(self, overflow: int):
        super().__init__(overflow)
        with self.lock:
            self.bodies.add(self)

    def append(self, data: bytes) -> None:
        if self.error:
            return
        with self.lock:
            waiting = sum(map(len, self.bodies))
        if len(self) + len(data) > MAX_REQUEST:
            self.error = RequestEntityTooLarge(TOO_LARGE)
        elif waiting + len(data) > MAX_WAITING:
            self.error = Full("the viewer has too much to do: come again")
        else:
            try:
                super().append(data)
            except OSError as error:
                self.error = Full(f"no room for a temporary file: {error.strerror}")
        if self.error:
            self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()
        self.buf, self.strbuf = None, b""


class Request(HTTPRequestParser):
    """Reads a request, with a Body of ours for its body."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.body_rcv is not None:
            self.body_rcv.buf = Body(self.adj.inbuf_overflow)

    def received(self, data: bytes) -> int:
        taken = super().received(data)
        if self.completed and not self.error and self.body_rcv is not None:
            self.error = self.body_rcv.buf.error
        return taken


class Channel(HTTPChannel):
    """A connection that cannot keep others out, however slowly it asks."""

    parser_class = Request

    def __init__(self, server, *arguments, **options):
        super().__init__(server, *arguments, **options)
        self.began = time.monotonic()  # its latest request, or itself
        channels = server.active_channels.values()
        if len(channels) > CONNECTIONS:
            idle = [each for each in channels if not (each.requests or each.will_close)]
            if idle:
                min(idle, key=lambda each: each.began).will_close = True

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.began = time.monotonic()
        return super().received(data)

    def handle_close(self) -> None:
        super().handle_close()
        if self.request is not None:
            self.request.close()

    def write_soon(self, data: bytes) -> int:
        try:
            return super().write_soon(data)
        except OSError:  # there is no room for the file: the rest cannot come, and the reader must not wait for it
            self.will_close = True
            self.server.pull_trigger()
            raise ClientDisconnected from None

    def readable(self) -> bool:
        if self.request is not None and time.monotonic() - self.began > SENDING:
            self.will_close = True
        return super().readable()
