"""The semantic conventions: which attributes a span has, what an error is called, and what must not be in either."""

import re
from collections import UserDict
from functools import cached_property
from urllib.parse import urlsplit

from beyond.settings import AROUND_THE_PROXY, printable

from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_ROUTE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL, URL_PATH, URL_QUERY, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import format_trace_id, get_current_span

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


def get_response(function, *arguments):
    """Return the flask.Response that Flask makes of what `function(*arguments)` returns; text is text/plain.

    `abort(404)` and what an error handler makes of an exception are responses too. What no handler takes is raised
    again, and Flask's answer to it will say what failed, and in which trace.
    """
    from flask import Response, current_app  # here: the client needs no Flask

    try:
        try:
            response = function(*arguments)
            if isinstance(response, str):
                response = Response(response, mimetype="text/plain")
        except Exception as error:  # noqa: BLE001, raised again unless the program has a handler for it
            response = current_app.handle_user_exception(error)
        return current_app.make_response(response)
    except Exception as error:
        trace_id = format_trace_id(get_current_span().get_span_context().trace_id)
        failure = getattr(error, "failure", "The server failed")
        answer_instead_of_flask(f"{failure}: {type(error).__name__} (trace {trace_id})\n")
        raise


def answer_instead_of_flask(text):
    """Let `text` (str) be the answer to this request, in place of Flask's page for a 500; a handler's answer stays."""
    from flask import after_this_request
    from werkzeug.exceptions import InternalServerError

    @after_this_request
    def replace(response):
        if not response.direct_passthrough and response.data == InternalServerError().get_response().data:
            response.data, response.mimetype = text, "text/plain"
        return response


def get_error_type(error):
    """Return the value (str) of the attribute error.type for an exception: its qualified class name."""
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
