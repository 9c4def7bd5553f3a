"""Signals, and the last export: what the backend takes within 2 s is not lost, and nobody waits for longer."""

import atexit
import signal
import sys
import threading
import time
from contextlib import suppress

import requests

from beyond.settings import get_options

LAST_EXPORT = 2  # seconds that the last export may take


def send_the_rest_at_exit(processor):
    """Send what `processor` (BatchSpanProcessor) still holds when the program ends, by itself or by a signal.

    A signal that somebody has taken stays theirs: gunicorn's, nohup's.
    """
    atexit.register(send_the_rest, processor)  # it runs before the SDK's own exit handler, which was registered earlier
    if threading.current_thread() is threading.main_thread():  # only this one may take signals
        for name in "SIGTERM", "SIGHUP":
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, leave)


def leave(number, frame):
    """Handle a signal that asks the program to end: let its exit handlers run. A second one ends it at once."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(0)


def send_the_rest(processor):
    """Give the last export 2 s. Without a backend the SDK alone would keep its user waiting for up to 10.

    BatchSpanProcessor.shutdown() takes no timeout yet (opentelemetry-python #4623), so this needs two private names.
    Where an SDK has others, nothing happens here, and its own exit handler sends the rest in its own time.
    """
    with suppress(AttributeError):
        exporter = processor.span_exporter
        exporter._timeout = min(exporter._timeout, LAST_EXPORT)  # of the last export, with all its tries
        processor._batch_processor.shutdown(timeout_millis=1000 * LAST_EXPORT + 200)  # of that, and one under way


def repeat_until_ctrl_c(send_requests, url):
    """Call `send_requests(url)` until Ctrl+C, or as the command line says, and tell of what failed.

    Return the exit status (int): 0 when every ping went well, else 1.
    """
    options = get_options()
    pings = failures = 0
    with suppress(KeyboardInterrupt, SystemExit):  # Ctrl+C, and the signals that leave() handles
        while pings != options.count:  # which is None for ever
            if pings:
                time.sleep(options.interval)
            try:
                send_requests(url)
            except requests.RequestException as error:
                print(f"Request to {url} failed: {error}", file=sys.stderr)
                failures += 1
            pings += 1
    print(f"{pings} {'ping' if pings == 1 else 'pings'}, {failures} failed")
    return 1 if failures else 0
