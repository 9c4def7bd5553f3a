"""A TCP proxy on loopback that can break what passes through it; a gRPC backend and a MongoDB that refuse."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from concurrent import futures

import bson
import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

from tests.support import free_port


class Proxy:
    """Stand between a client and the server on `target` (int, a port); set `mode` to break it, and to mend it.

    "pass" forwards everything. "hang" accepts connections and never answers on any, and those that it held stay dead
    afterwards, as behind a firewall that drops packets. "cut" sends half of each answer, then resets the connection.
    """

    def __init__(self, target, mode="pass"):
        self.target, self.mode = target, mode
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.sockets = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                self.sockets.add(client)
                if self.mode == "hang":  # held for good
                    continue
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self.sockets.add(server)
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

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
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Refusal(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP/gRPC backend that answers each export with `status` (grpc.StatusCode), or never with None.

    With `retry_after` (float, seconds) the refusal says when to try again. `calls` has the time of each export.
    """

    def __init__(self, status, details="no, thank you", retry_after=None):
        self.status, self.details, self.retry_after = status, details, retry_after
        self.calls = []
        self.over = threading.Event()
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.server.add_insecure_port(f"127.0.0.1:{self.port}")

    def Export(self, request, context):
        """Refuse."""
        self.calls.append(time.monotonic())
        if self.status is None:
            self.over.wait()
        if self.retry_after is not None:
            info = RetryInfo(retry_delay=Duration(nanos=int(self.retry_after * 1e9)))
            context.set_trailing_metadata([("google.rpc.retryinfo-bin", info.SerializeToString())])
        context.abort(self.status or grpc.StatusCode.CANCELLED, self.details)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.stop(grace=None).wait()


class MongoDBThatRefuses(socketserver.ThreadingTCPServer):
    """A server that answers as MongoDB does: to `hello` as any, to all else that the password is wrong."""

    daemon_threads = True
    block_on_close = False

    class Connection(socketserver.StreamRequestHandler):
        """Two kinds of messages: OP_QUERY asks for the first `hello`, OP_MSG for the rest."""

        def handle(self):
            while header := self.rfile.read(16):
                length, request, _, kind = struct.unpack("<4i", header)
                body = self.rfile.read(length - 16)
                if kind == 2004:  # OP_QUERY; its answer is an OP_REPLY of one document
                    self.reply(request, 1, struct.pack("<iqii", 0, 0, 0, 1) + bson.encode(HELLO))
                else:  # OP_MSG: flags, the kind of its one section, and the command
                    greets = {"hello", "ismaster"} & bson.decode(body[5:]).keys()
                    self.reply(request, kind, bytes(5) + bson.encode(HELLO if greets else WRONG_PASSWORD))

        def reply(self, request, kind, body):
            self.wfile.write(struct.pack("<4i", 16 + len(body), 0, request, kind) + body)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Connection)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *details):
        self.shutdown()
        super().__exit__(*details)


HELLO = {"helloOk": True, "isWritablePrimary": True, "minWireVersion": 0, "maxWireVersion": 21, "ok": 1.0}
WRONG_PASSWORD = {"ok": 0.0, "errmsg": "Authentication failed.", "code": 18, "codeName": "AuthenticationFailed"}
