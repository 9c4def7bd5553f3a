"""Reads saved traces: OTLP JSON, with or without what the read API puts around it, or one request a line.

The last is what a Collector's file exporter writes. Specification, "OpenTelemetry Protocol File Exporter".
"""

import re
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError

from viewer import otlp_json
from viewer.store import Store

BOM = b"\xef\xbb\xbf"  # some editors on Windows begin a file with it
ANSWER = re.compile(rb'\s*\{\s*"result"\s*:(.*)\}\s*', re.DOTALL)  # of our read API, and of Jaeger's


def load(store: Store, path: Path) -> None:
    """Put the spans of a file into the store. Raises ValueError as `read` does."""
    try:
        with path.open("rb") as file:
            read(store, file)
    except OSError as error:
        raise ValueError(error.strerror) from None


def read(store: Store, file: BinaryIO) -> None:
    """Put the spans of an open file into the store.

    Raises ValueError, with a line fit for a reader, when it cannot be read, or has no spans. What stands before a line
    that cannot be read is in the store then.
    """
    has_spans = is_read = False
    try:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(BOM) if number == 1 else line
            if not text.strip():
                continue
            try:
                has_spans |= _add(store, text)
            except DecodeError as error:
                if is_read:
                    raise ValueError(f"line {number}: {error}") from None
                # Then it is one request over all lines.
                has_spans |= _add(store, text + file.read())
            is_read = True
    except DecodeError as error:
        raise ValueError(str(error)) from None
    if not has_spans:
        raise ValueError("no spans in it; OTLP JSON begins with resourceSpans")


def _add(store: Store, text: bytes) -> bool:
    """Put the spans of a request into the store, and return whether there were any."""
    if answer := ANSWER.fullmatch(text):
        text = answer[1]
    with otlp_json.in_turn:
        groups = list(otlp_json.groups(text))
        store.add(groups)
    return bool(groups)
