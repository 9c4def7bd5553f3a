"""The client without a line of tracing. To instrument it automatically: as server.py says, with `client.py`."""

import os
import sys
import time
from contextlib import suppress

import requests


def send_requests(url):
    """Ping `url` (str) once, and print what came back."""
    try:
        res = requests.get(url, timeout=5)
        res.raise_for_status()
        print(f"Request to {url}, got {len(res.content)} bytes")
    except requests.RequestException as error:
        print(f"Request to {url} failed: {error}", file=sys.stderr)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        while True:
            send_requests(os.environ.get("DESTINATION_URL", "http://localhost:8081/ping"))
            time.sleep(5)
