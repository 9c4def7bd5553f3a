"""One program alone in this process, and so many pings; prints in JSON what they cost.

The server is called as a WSGI server calls it, without one; the client pings DESTINATION_URL.
"""

import argparse
import importlib
import io
import json
import os
import random
import resource
import sys
import time


def call_server(app, sampled):
    """Call the WSGI application as for a client that has a trace of its own."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/ping",
        "QUERY_STRING": "",
        "RAW_URI": "/ping",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8081",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "localhost:8081",
        "HTTP_USER_AGENT": "python-requests/2.34.2",
        "HTTP_ACCEPT": "*/*",
        "HTTP_TRACEPARENT": f"00-{random.randbytes(16).hex()}-{random.randbytes(8).hex()}-0{sampled:d}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    statuses = []
    answer = app(environ, lambda status, headers, error=None: statuses.append(status))
    b"".join(answer)
    answer.close()
    if statuses != ["200 OK"]:
        raise RuntimeError(f"the answer is {statuses}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where the program is")
    parser.add_argument("program", help="its module")
    parser.add_argument("count", type=int)
    parser.add_argument("every", type=int, help="1: the caller sampled each ping; 100: one in a hundred")
    parser.add_argument("--automatic", action="store_true")
    options = parser.parse_args()
    if options.automatic:
        from opentelemetry.instrumentation.auto_instrumentation import initialize

        initialize()
    sys.path[0] = options.folder
    random.seed(0)
    random.randint = lambda low, high: (low + high) // 2  # answers of one length, so that it makes no difference
    program = importlib.import_module(options.program)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, what the client says of each ping
    if not hasattr(program, "app"):
        sys.stderr = sys.stdout

    milliseconds = []
    cpu = time.process_time()
    for number in range(options.count):
        began = time.perf_counter()
        if hasattr(program, "app"):
            call_server(program.app, sampled=number % options.every == 0)
        else:
            program.send_requests(os.environ["DESTINATION_URL"])
        milliseconds.append(1000 * (time.perf_counter() - began))
    if "opentelemetry.sdk.trace" in sys.modules:
        sys.modules["opentelemetry.trace"].get_tracer_provider().force_flush()
    cpu = time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"milliseconds": milliseconds, "cpu": cpu, "memory": memory}), file=sys.__stdout__)


main()
