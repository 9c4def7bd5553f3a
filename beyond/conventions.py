"""The semantic conventions: which attributes a span has, what an error is called, and what must not be in either."""

import re
from collections import UserDict
from functools import cached_property
from urllib.parse import urlsplit

from beyond.settings import AROUND_THE_PROXY, printable

from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.db_attributes import DB_RESPONSE_STATUS_CODE
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_ROUTE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL, URL_PATH, URL_QUERY, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import get_current_span

SECRETS = "sig|Signature|AWSAccessKeyId|X-Goog-Signature|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token"
HOST = re.compile(r"(?:.*@)?(\[[0-9A-Fa-f:.]+\]|[^:\[\]@]+)(?::(\d{1,5}))?")

REASONS = {  # why a request failed: the first of these among the causes of its exception
    "ProxyError": f"no connection through http_proxy;\n  {AROUND_THE_PROXY}",
    "NameResolutionError": "the name of the host does not resolve",
    "RemoteDisconnected": "the connection was closed without an answer",
    "BadStatusLine": "the answer is not HTTP",
    "Timeout": "no answer within 5 s",
    "ConnectionError": "no connection; is the server up?",
}


def redact(text):
    """Return a URL or a query (str) without the values that must not be recorded ("url.full", "url.query")."""
    return re.sub(rf"((?:^|[?&])(?:{SECRETS})=)[^&#\s]*", r"\1REDACTED", text)


def http_client_attributes(url):
    """Return the attributes (dict) of a span around a GET of `url` (semantic conventions, "HTTP client")."""
    parts = urlsplit(url)
    return {
        HTTP_REQUEST_METHOD: "GET",
        URL_FULL: redact(url),
        SERVER_ADDRESS: parts.hostname,
        SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80),
    }


def http_server_attributes(request):
    """Return the attributes (dict) of a span around the answer to a flask.Request ("HTTP server")."""
    return WhenRead(lambda: read_server_attributes(request))


class WhenRead(UserDict):
    """The dict that `make()` returns, made when somebody first looks: for a span that is not recorded nobody does."""

    def __init__(self, make):
        self.make = make

    @cached_property
    def data(self):
        return self.make()

    def items(self):  # of the dict itself, which are quicker than UserDict's
        return self.data.items()

    def __or__(self, more):
        return self.data | more


def read_server_attributes(request):
    """Return the attributes (dict) that a flask.Request has to give."""
    environ = request.environ
    host, port = request.server
    if (named := HOST.fullmatch(environ.get("HTTP_HOST", ""))) and int(named[2] or 1) in range(1, 65_536):
        host, port = named[1].strip("[]"), int(named[2] or port)
    attributes = {
        HTTP_REQUEST_METHOD: request.method,
        HTTP_ROUTE: request.url_rule.rule,
        URL_SCHEME: request.scheme,
        URL_PATH: request.path,
        SERVER_ADDRESS: host,
        SERVER_PORT: port,
        NETWORK_PROTOCOL_VERSION: environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
    }
    if query := request.query_string:
        attributes[URL_QUERY] = redact(query.decode(errors="replace"))
    if client := environ.get("REMOTE_ADDR"):
        attributes[CLIENT_ADDRESS] = client
    if agent := environ.get("HTTP_USER_AGENT"):
        attributes[USER_AGENT_ORIGINAL] = agent
    return attributes


class error_type:  # a class: as a generator it would take four times as long
    """Name an exception that passes on the current span ("Database client"); the SDK records the rest."""

    def __enter__(self):
        pass

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception):
            span = get_current_span()
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            if code := getattr(error, "code", None):  # pymongo's
                span.set_attribute(DB_RESPONSE_STATUS_CODE, str(code))
            without_secrets(error)


def get_class_name(error):
    """Return the qualified name (str) of an exception's class, which is its error.type ("Recording errors")."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def get_causes(error):
    """Return the exceptions (list) that led to this one, itself first."""
    return [error, *get_causes(error.__context__)] if error else []


def without_secrets(error):
    """Return the exception, its messages and those of its causes redacted, printable, and of a length that can be sent.

    A database's message can be 20 MB long, and obey a terminal; one of requests has the URL in it.
    """
    for each in get_causes(error):
        each.args = tuple(redact(printable(part)) if isinstance(part, str) else part for part in each.args)
    return error


def explain(error):
    """Return in a few words (str) why a request failed."""
    names = {kind.__name__ for cause in get_causes(error) for kind in type(cause).__mro__}
    return next((reason for name, reason in REASONS.items() if name in names), type(error).__name__)
