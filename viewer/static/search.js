// Reads what the search of the list says: a text, attributes, durations, in any order.

const PART = new RegExp([
  String.raw`"(?<quoted>[^"]*)"`,
  String.raw`(?<!\S)(?<key>[^\s="<>]+)=(?:"(?<whole>[^"]*)"|(?<value>\S*))`,
  String.raw`(?<!\S)(?<sign>[<>])=?\s*(?<length>\d+(?:\.\d+)?)\s*(?<unit>ns|us|µs|ms|s|min|m|h)(?!\S)`,
].join("|"), "g");

/**
 * The parameters of the API for what a reader wrote: `http.route=/ping` is an attribute, `>100ms` the least and `<1s` the
 * greatest duration, and the rest a text; in quotation marks too, so that `"a=b"` is one.
 */
export function parse(wanted) {
  const parameters = {};
  const attributes = {};
  const text = wanted.replace(PART, (...found) => {
    const { quoted, key, whole, value, sign, length, unit } = found.at(-1);
    if (quoted !== undefined) return quoted;
    if (sign) parameters[sign === ">" ? "query.durationMin" : "query.durationMax"] = `${length}${unit === "min" ? "m" : unit}`;
    else if (whole || value) attributes[key] = whole ?? value; // without one the reader still writes
    return "";
  }).trim();
  if (text) parameters["viewer.search"] = text;
  if (Object.keys(attributes).length) parameters["query.attributes"] = JSON.stringify(attributes);
  return parameters;
}
