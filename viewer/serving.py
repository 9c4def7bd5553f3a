"""Serves HTTP in the background, the page and OTLP/HTTP, so that nobody keeps others out."""

import logging
import socket
import threading
import time
from collections.abc import Callable

import waitress
from waitress.channel import ClientDisconnected, HTTPChannel

PATIENCE = 30  # seconds that a connection may do nothing, or a reader not read, before it makes room
SENDING = 10  # seconds in which a request has to be whole
CONNECTIONS = 500  # open at a time; for one more, the one leaves whose latest request is the oldest
SPOOLED = 1_000_000_000  # bytes of an answer that wait in a file for a slow reader, and not in a thread
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


class Channel(HTTPChannel):
    """A connection that cannot keep others out, however slowly it asks."""

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
