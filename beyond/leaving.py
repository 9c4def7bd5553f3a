"""Signals, and the last export: nothing is lost, and nobody is kept waiting."""

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress

from beyond.settings import get_options

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_tracer_provider

LAST_EXPORT = 2  # seconds
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

received = []  # signals


def export_the_rest_at_exit(processor):
    """Send what `processor` (BatchSpanProcessor) still holds when the program ends, by itself or by a signal."""
    atexit.register(send_the_rest, processor)  # it comes before the provider's own, which was registered before it
    take_signals()


def take_signals():
    """Let the signals that ask a program to end run its exit handlers, as far as nobody has taken them.

    The handler of a server such as gunicorn stays in charge, and so does `nohup`.
    """
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, leave)


def leave(number, frame):
    """Handle a signal: end the program through its exit handlers. A second signal ends it at once."""
    received.append(number)
    for each in SIGNALS:
        if signal.getsignal(each) is leave:
            signal.signal(each, signal.SIG_DFL)
    sys.unraisablehook = lambda _: None  # what the signal cuts in the making would complain when it is let go
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
        sys.stdout.reconfigure(line_buffering=True, write_through=False)  # whole lines, whatever a signal interrupts
        with suppress(SystemExit):  # a signal
            while not received and calls != options.count:
                if calls:
                    time.sleep(options.interval)
                failures += not work(*arguments)
                calls += 1
        print(f"{calls} pings, {failures} failed")
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write would fail again
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"The output cannot be written: {error.strerror}.")
    return 1 if failures else 0


if isinstance(get_tracer_provider(), TracerProvider):  # before get_tracer was called
    print("Somebody else has set up tracing: OTEL_PYTHON_TRACER_PROVIDER or opentelemetry-instrument.", file=sys.stderr)
    take_signals()
