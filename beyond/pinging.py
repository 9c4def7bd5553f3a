"""The client's command line, and its loop."""

import argparse
import sys
import time
from contextlib import suppress

import requests


def repeat_until_ctrl_c(send_requests, url):
    """Call `send_requests(url)` until Ctrl+C, or as the command line says, and tell of what failed.

    Return the exit status (int): 0 when every ping went well, else 1.
    """
    options = get_options()
    pings = failures = 0
    with suppress(KeyboardInterrupt, SystemExit):  # Ctrl+C, and the signals that beyond/leaving.py takes
        while pings != options.count:  # where that is None: for ever
            if pings:
                time.sleep(options.interval)
            pings += 1
            try:
                send_requests(url)
            except requests.RequestException as error:
                failures += 1
                print(f"Request to {url} failed: {error}", file=sys.stderr)
    print(f"{pings} {'ping' if pings == 1 else 'pings'}, {failures} failed")
    return 1 if failures else 0


def get_options():
    """Return the client's command line: `count` (int, or None for ever) and `interval` (float, seconds)."""
    parser = argparse.ArgumentParser(description="Ping the server at DESTINATION_URL, in one trace with it.")
    parser.add_argument("ignored", nargs="*", metavar="test", help="has no effect, as in the post")
    parser.add_argument("--count", type=int, metavar="N", help="stop after N pings (default: never)")
    parser.add_argument("--interval", type=float, default=5, metavar="SECONDS", help="between pings (default: 5)")
    return parser.parse_args()
