"""The values of attributes as text: what a reader writes when looking for one, and what Jaeger compares it with."""

import base64
import json
from decimal import Decimal

from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def text(value: AnyValue) -> str:
    """Return a value as text: `true`, `5`, `0.1`, bytes in base64, arrays and maps as JSON; empty for none."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "double_value":
        return _number(value.double_value)
    plain = _plain(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def _plain(value: AnyValue) -> object:
    """The value as JSON has it."""
    kind = value.WhichOneof("value")
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind in ("string_value", "bool_value", "int_value", "double_value"):
        return getattr(value, kind)
    return None


def _number(value: float) -> str:
    """A double as JavaScript and Go write it: `5`, `0.00001`, `1e-7`, `1e+21`."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return repr(value).replace("e-0", "e-").replace("inf", "Infinity").replace("nan", "NaN")
