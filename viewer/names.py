"""The names that the semantic conventions have deprecated, and what took their place.

Semantic conventions, "Attribute registry"; only names whose successors are stable.
"""

from viewer.seen import DATABASE, METHOD

NEW_NAMES = {
    "http.method": "http.request.method",
    "http.status_code": "http.response.status_code",
    "http.scheme": "url.scheme",
    "http.url": "url.full",
    "http.target": "url.path and url.query",
    "http.user_agent": "user_agent.original",
    "http.flavor": "network.protocol.version",
    "http.client_ip": "client.address",
    "http.host": "server.address and server.port",
    "http.server_name": "server.address",
    "http.request_content_length": "http.request.header.content-length",
    "http.response_content_length": "http.response.header.content-length",
    "net.host.name": "server.address",
    "net.host.port": "server.port",
    "net.peer.name": "server.address",
    "net.peer.port": "server.port",
    "net.peer.ip": "network.peer.address",
    "net.sock.peer.addr": "network.peer.address",
    "net.sock.peer.port": "network.peer.port",
    "net.host.ip": "network.local.address",
    "net.sock.host.addr": "network.local.address",
    "net.sock.host.port": "network.local.port",
    "net.sock.family": "network.type",
    "net.transport": "network.transport",
    "net.protocol.name": "network.protocol.name",
    "net.protocol.version": "network.protocol.version",
    "db.system": "db.system.name",
    "db.statement": "db.query.text",
    "db.name": "db.namespace",
    "db.elasticsearch.cluster.name": "db.namespace",
    "db.redis.database_index": "db.namespace",
    "db.operation": "db.operation.name",
    "db.sql.table": "db.collection.name",
    "db.mongodb.collection": "db.collection.name",
    "db.cassandra.table": "db.collection.name",
    "db.cosmosdb.container": "db.collection.name",
    "db.cosmosdb.status_code": "db.response.status_code",
    "db.connection_string": "server.address and server.port",
    "code.function": "code.function.name",
    "code.namespace": "code.function.name",
    "code.filepath": "code.file.path",
    "code.lineno": "code.line.number",
    "code.column": "code.column.number",
    "deployment.environment": "deployment.environment.name",
}
OF_A_SERVER = {  # what they are on a SERVER span
    "http.url": "url.scheme and url.path and url.query",
    "net.peer.name": "client.address",
    "net.peer.port": "client.port",
}


def new_names(old: str, of_a_server: bool) -> list[str]:
    """Return what took the place of an old name, on a SERVER span or on another."""
    return (OF_A_SERVER.get(old, NEW_NAMES[old]) if of_a_server else NEW_NAMES[old]).split(" and ")


def old_names(attributes: dict[str, str], of_a_server: bool) -> dict[str, list[str]]:
    """Return the old names among attributes, each with what took its place.

    Not those that have it beside them, nor what stands with them: an instrumentation may write both (`http/dup`).
    """
    twice = ("http.", "net.") if attributes.keys() >= set(METHOD) else ()
    twice += ("db.",) if attributes.keys() >= set(DATABASE) else ()
    old = {key: new_names(key, of_a_server) for key in attributes if key in NEW_NAMES and not key.startswith(twice)}
    return {key: news for key, news in old.items() if not attributes.keys() & set(news)}
