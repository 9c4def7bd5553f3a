"""The semantic conventions: which attributes a span has, what an error is called, and which secrets are left out."""

import re
from contextlib import suppress
from urllib.parse import urlsplit

from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_ROUTE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL, URL_PATH, URL_QUERY, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL

SECRETS = "sig|Signature|AWSAccessKeyId|X-Goog-Signature|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token"


def redact(url):
    """Return a URL, or its query alone (str), without what must not be recorded ("url.full", "url.query").

    Of http://me:secret@host/?a=b&sig=secret that is http://REDACTED:REDACTED@host/?a=b&sig=REDACTED.
    """
    url = re.sub(r"^([^/?#]*://)[^/?#]*@", r"\1REDACTED:REDACTED@", url)
    return re.sub(rf"((?:^|[?&])(?:{SECRETS})=)[^&#]*", r"\1REDACTED", url)


def http_client_attributes(url):
    """Return the attributes (dict) of a span around a GET of `url` (semantic conventions, "HTTP client")."""
    attributes = {HTTP_REQUEST_METHOD: "GET", URL_FULL: redact(url)}
    with suppress(ValueError):  # a URL that requests will refuse
        parts = urlsplit(url)
        attributes[SERVER_ADDRESS] = parts.hostname
        attributes[SERVER_PORT] = parts.port or (443 if parts.scheme == "https" else 80)
    return leave_out_none(attributes)


def http_server_attributes(request):
    """Return the attributes (dict) of a span around the answer to a flask.Request ("HTTP server")."""
    host, port = request.server or (None, None)  # the socket's; a unix socket has no port
    with suppress(ValueError):  # a Host header that names no address
        named = urlsplit(f"//{request.headers.get('Host', '')}")
        if named.hostname:
            host, port = named.hostname, named.port  # reading .port may raise
    mount_point = request.root_path  # empty, unless a server in front serves the program below a path
    return leave_out_none(
        {
            HTTP_REQUEST_METHOD: request.method,
            HTTP_ROUTE: request.url_rule and mount_point + request.url_rule.rule,
            URL_SCHEME: request.scheme,
            URL_PATH: mount_point + request.path,
            URL_QUERY: redact(request.query_string.decode(errors="replace")) or None,
            SERVER_ADDRESS: host,
            SERVER_PORT: port,
            CLIENT_ADDRESS: request.remote_addr or None,
            USER_AGENT_ORIGINAL: request.headers.get("User-Agent"),
            NETWORK_PROTOCOL_VERSION: request.environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/") or None,
        }
    )


def leave_out_none(attributes):
    """Return the attributes (dict) that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}


def get_class_name(error):
    """Return the qualified name (str) of an exception's class, which is its error.type ("Recording errors")."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
