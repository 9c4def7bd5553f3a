"""Signals, and the last export: nothing is lost, and nobody is kept waiting."""

import atexit
import os
import signal
import sys
import threading
import time

from beyond.settings import get_options

LAST_EXPORT = 2  # seconds
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

received = []  # signals


def export_the_rest_at_exit(processor):
    """Send what `processor` (BatchSpanProcessor) still holds when the program ends, by itself or by a signal.

    A signal is only taken while its handler is the system's own: that of a server stays in charge, and `nohup` too.
    """
    atexit.register(send_the_rest, processor)  # before the provider's own, which comes first in and last out
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, leave)


def leave(number, frame):
    """End the program through its exit handlers; a second signal ends it at once."""
    received.append(number)
    for each in SIGNALS:
        if signal.getsignal(each) is leave:
            signal.signal(each, signal.SIG_DFL)
    sys.exit(0)


def send_the_rest(processor):
    """Give the last export LAST_EXPORT seconds; on its own it tries for 6 to 8.

    BatchSpanProcessor.shutdown() passes no timeout on, so this calls what it calls (SDK 1.45).
    """
    exporter, batches = processor.span_exporter, processor._batch_processor
    exporter._timeout = min(exporter._timeout, LAST_EXPORT)  # so that it says itself why it gave up
    batches.shutdown(timeout_millis=1000 * (LAST_EXPORT + 0.2))  # and this for one that began before
    batches._worker_thread.join(0.2)  # its last words


def repeat_until_ctrl_c(work, *arguments):
    """Call `work(*arguments)` until Ctrl+C, or as the command line says; return the exit status (int).

    It is 0 when every call returned something true, else 1. Whoever reads the output may go (`| head -1`).
    """
    options = get_options()
    calls = failures = 0
    try:
        try:
            while True:
                failures += not work(*arguments)
                calls += 1
                if received or calls == options.count:
                    break
                time.sleep(options.interval)
        except SystemExit:  # a signal
            pass
        print(f"{calls} pings, {failures} failed", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write would fail again
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"The output cannot be written: {error.strerror}.")
    return 1 if failures else 0
