"""One program alone in this process, and COUNT pings: `python pings.py FOLDER server|client COUNT SAMPLED [--automatic]`.

The server is called as a WSGI server calls it, without one. FOLDER is where the program is; every ping whose number
SAMPLED divides was sampled by its caller.
"""

import argparse
import importlib
import io
import os
import random
import sys


def ping_server(app, count, sampled):
    """Call the WSGI application so many times, as a client with a trace of its own."""
    for number in range(count):
        flag = "01" if number % sampled == 0 else "00"
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
            "HTTP_TRACEPARENT": f"00-{random.randbytes(16).hex()}-{random.randbytes(8).hex()}-{flag}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        statuses = []
        answer = app(environ, lambda status, headers, error=None: statuses.append(status))  # noqa: B023
        b"".join(answer)
        answer.close()
        if statuses != ["200 OK"]:
            raise RuntimeError(f"the answer is {statuses}")


def ping_with_client(send_requests, count, url):
    """Let the client ping `url` so many times; what it says of each ping goes nowhere."""
    with open(os.devnull, "w") as nowhere:
        sys.stdout, err, sys.stderr = nowhere, sys.stderr, nowhere
        for _ in range(count):
            send_requests(url)
        sys.stdout, sys.stderr = sys.__stdout__, err


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("program", choices=["server", "client"])
    parser.add_argument("count", type=int)
    parser.add_argument("sampled", type=int)
    parser.add_argument("--automatic", action="store_true")
    options = parser.parse_args()
    if options.automatic:
        from opentelemetry.instrumentation.auto_instrumentation import initialize

        initialize()
    sys.path[0] = options.folder
    random.seed(0)
    random.randint = lambda low, high: (low + high) // 2  # answers of one length, so that it makes no difference
    program = importlib.import_module(options.program)
    if options.program == "server":
        ping_server(program.app, options.count, options.sampled)
    else:
        ping_with_client(program.send_requests, options.count, os.environ["DESTINATION_URL"])
    if "opentelemetry.sdk.trace" in sys.modules:
        sys.modules["opentelemetry.trace"].get_tracer_provider().force_flush()


main()
