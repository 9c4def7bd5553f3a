// A client and a server in another language, and no package: one ping, traced as far as the first STEPS steps go.
// node ping.mjs STEPS OTLP_HTTP_PORT REDIS_PORT MONGODB_PORT
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { connect } from "node:net";

const [steps, otlpPort, redisPort, mongodbPort] = process.argv.slice(2).map(Number);
const INTERNAL = 1, SERVER = 2, CLIENT = 3, ERROR = 2;
const sent = { client: [], server: [] }; // program -> its spans

const now = () => String(BigInt(Date.now()) * 1_000_000n);
const attributes = (values) =>
  Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === "number" ? { intValue: value } : { stringValue: value },
  }));

async function inSpan(program, name, kind, parent, values, work) {
  const span = {
    traceId: parent?.traceId ?? randomBytes(16).toString("hex"),
    spanId: randomBytes(8).toString("hex"),
    parentSpanId: parent?.spanId,
    name,
    kind,
    startTimeUnixNano: now(),
    values,
    status: {},
  };
  try {
    return await work(span);
  } catch (error) {
    const details = { "exception.type": error.code, "exception.message": error.message };
    span.events = [{ timeUnixNano: now(), name: "exception", attributes: attributes(details) }];
    span.status = { code: ERROR };
    if (kind !== INTERNAL) span.values["error.type"] = error.code;
    throw error;
  } finally {
    const { values, ...fields } = span;
    sent[program].push({ ...fields, endTimeUnixNano: now(), attributes: attributes(values) });
  }
}

function ask(port) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket.destroy())).once("error", reject);
  });
}

async function askDatabase(parent, name, port, system, namespace, operation, more = {}) {
  if (steps < 6) return ask(port);
  await inSpan("server", `${name}_integration`, INTERNAL, parent, {}, (outer) => {
    const values = { "db.system.name": system, "db.namespace": namespace, "db.operation.name": operation, ...more };
    Object.assign(values, { "server.address": "127.0.0.1", "server.port": port });
    return inSpan("server", `server ${name} operation`, CLIENT, outer, values, () => ask(port));
  });
}

async function askDatabases(span) {
  await askDatabase(span, "redis", redisPort, "redis", "0", "MSET");
  await askDatabase(span, "pymongo", mongodbPort, "mongodb", "tests", "find", { "db.collection.name": "tests" });
}

const server = createServer(async (request, response) => {
  const view = async (span) => {
    try {
      await askDatabases(span);
      response.statusCode = 200;
    } catch (error) {
      response.statusCode = 500;
      throw error;
    } finally {
      if (span) span.values["http.response.status_code"] = response.statusCode;
    }
  };
  const [, traceId, spanId] = request.headers.traceparent?.split("-") ?? [];
  const values = { "http.request.method": request.method, "http.route": "/ping", "url.path": request.url };
  values["url.scheme"] = "http";
  const parent = traceId && { traceId, spanId };
  await (steps < 4 ? view() : inSpan("server", "/ping", SERVER, parent, values, view)).catch(() => {});
  response.end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const { port } = server.address();
const url = `http://127.0.0.1:${port}/ping`;
const values = { "http.request.method": "GET", "url.full": url, "server.address": "127.0.0.1", "server.port": port };
await inSpan("client", "client operation", steps < 3 ? INTERNAL : CLIENT, null, steps < 3 ? {} : values, async (span) => {
  const headers = steps < 5 ? {} : { traceparent: `00-${span.traceId}-${span.spanId}-01` };
  const { ok, status } = await fetch(url, { headers });
  if (steps >= 3) span.values["http.response.status_code"] = status;
  if (!ok) {
    span.values["error.type"] = String(status);
    span.status = { code: ERROR };
  }
});
server.close();

const resourceSpans = Object.entries(sent).map(([program, spans]) => ({
  resource: { attributes: steps < 2 ? [] : attributes({ "service.name": `node-${program}` }) },
  scopeSpans: [{ spans }],
}));
const answer = await fetch(`http://127.0.0.1:${otlpPort}/v1/traces`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ resourceSpans }),
});
if (!answer.ok) throw new Error(await answer.text());
