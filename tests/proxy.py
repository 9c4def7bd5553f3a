"""What breaks on demand: a TCP proxy on loopback, and an OTLP/gRPC backend that refuses."""

import contextlib
import socket
import struct
import threading

import grpc

from tests.sink import Sink
from tests.support import free_port


class Proxy:
    """Stand between a client and the server on `target` (int, a port); set `mode` to break it, and to mend it.

    "pass" forwards everything. "refuse" listens no more, and cuts what is open. "hang" accepts connections and never
    answers on any, and those that it held stay dead afterwards, as behind a firewall that drops packets. "cut" sends
    half of each answer, then resets the connection.
    """

    def __init__(self, target, mode="pass"):
        self.target, self.port = target, free_port()
        self.sockets = set()
        self.listener = None
        self.mode = mode

    @property
    def mode(self):
        """What it does now."""
        return self._mode

    @mode.setter
    def mode(self, mode):
        self._mode = mode
        if mode == "refuse":
            self.close()
        elif not self.listener:
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
            threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.sockets.add(client)
                if self.mode == "hang":  # held for good
                    continue
                server = socket.create_connection(("127.0.0.1", self.target))
                self.sockets.add(server)
                if self.mode == "refuse":  # since it was accepted: close() may not have seen these two
                    _close(client)
                    _close(server)
                for ends in (client, server, False), (server, client, True):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source, sink, is_answer):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self.mode == "hang":
                    return  # held for good
                if self.mode == "cut" and is_answer:
                    sink.sendall(data[: len(data) // 2])
                    sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
                    break
                sink.sendall(data)
        for end in (source, sink):
            self.sockets.discard(end)
            _close(end)

    def close(self):
        """Listen no more, and cut every connection."""
        for end in [*filter(None, [self.listener]), *self.sockets]:
            _close(end)
        self.listener = None
        self.sockets.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _close(end):
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class Refusal(Sink):
    """A backend that answers each export with `status` (grpc.StatusCode), or never with None; `calls` counts them."""

    def __init__(self, status, details="no, thank you"):
        self.status, self.details = status, details
        self.over = threading.Event()
        super().__init__()

    @property
    def calls(self):
        """The exports so far."""
        return self.requests

    def Export(self, request, context):
        """Refuse."""
        self.requests.append(request)
        if self.status is None:
            self.over.wait()
        context.abort(self.status or grpc.StatusCode.CANCELLED, self.details)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.stop()
