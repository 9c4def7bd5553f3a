"""Signals, and the last export: what the backend takes within 2 s is not lost, and nobody waits for longer."""

import atexit
import signal
import sys
import threading
import time
from contextlib import suppress

import requests

from beyond.settings import get_options

LAST_EXPORT = 2  # seconds that it may take


def send_the_rest_at_exit(processor):
    """Send what `processor` (BatchSpanProcessor) still holds when the program ends, by itself or by a signal.

    A signal that somebody has taken stays theirs: gunicorn's, nohup's.
    """
    atexit.register(send_the_rest, processor)  # the last one registered runs first: before the provider's own
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
    """Give the last export 2 s, where the SDK would take up to 10.

    BatchSpanProcessor.shutdown() takes no timeout (opentelemetry-python #4623), so this does what it does. Where
    its private names are gone, the SDK leaves in its own way.
    """
    with suppress(AttributeError):
        exporter, batches = processor.span_exporter, processor._batch_processor
        exporter._timeout = min(exporter._timeout, LAST_EXPORT)  # so that it says itself why it gave up
        batches.shutdown(timeout_millis=1000 * LAST_EXPORT + 200)  # an export may be under way


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
