// Reads what a reader looks for: a text, attributes, durations, in any order.

const QUOTED = String.raw`"(?:\\.|[^"])*"`;
const DURATION = String.raw`(?<!\S)(?<sign>[<>])=?\s*(?<length>\d+(?:\.\d+)?)\s*(?<unit>ns|us|µs|ms|s|min|m|h)(?!\S)`;
const KEY = String.raw`(?<!\S)(?<key>[^\s="<>!]+)=`;
const WORD = String.raw`(?!\S*=)(?![<>"])\S+`; // no attribute, no duration, nothing in quotation marks
const PART = new RegExp(`${KEY}(?:\\s*(?<whole>${QUOTED})|(?<value>\\S*(?:\\s+${WORD})*))|(?<quoted>${QUOTED})|${DURATION}`, "g");
const EXACT = new RegExp(`${KEY}\\s*(?<whole>${QUOTED})`, "g");

const unquoted = (text) => text.slice(1, -1).replaceAll(/\\(["\\])/g, "$1");
const quoted = (text) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;

/** How to ask for an attribute with exactly this value. */
export const exactly = (key, value) => `${key}=${quoted(value)}`;

/**
 * The parameters of the API for what a reader wrote: `http.route=/ping` is an attribute, whose value goes on to the next
 * attribute or duration; `>100ms` is the least and `<1s` the greatest duration, and the rest a text; in quotation marks
 * too, so that `"a=b"` is one.
 */
export function parse(wanted) {
  const parameters = {};
  const attributes = {};
  const text = wanted.replace(PART, (...found) => {
    const { key, whole, value, quoted, sign, length, unit } = found.at(-1);
    if (quoted !== undefined) return unquoted(quoted);
    if (sign) parameters[sign === ">" ? "query.durationMin" : "query.durationMax"] = `${length}${unit === "min" ? "m" : unit}`;
    else if (whole || value) attributes[key] = whole ? unquoted(whole) : value.trim(); // without one the reader still writes
    return "";
  }).trim();
  if (text) parameters["viewer.search"] = text;
  if (Object.keys(attributes).length) parameters["query.attributes"] = JSON.stringify(attributes);
  return parameters;
}

/** The attributes whose whole value a reader gave in quotation marks, as pairs, and the text besides them. */
export function parseExact(wanted) {
  const exact = [];
  const text = wanted.replace(EXACT, (...found) => {
    const { key, whole } = found.at(-1);
    exact.push([key, unquoted(whole)]);
    return "";
  }).trim();
  return { exact, text: /^".+"$/.test(text) ? unquoted(text) : text };
}

/** What can be asked, for who asked for something else and found nothing. */
export function hint(wanted) {
  const rest = wanted.replaceAll(new RegExp(QUOTED, "g"), '""').replaceAll(new RegExp(DURATION, "g"), "");
  if (/[<>!~]|==/.test(rest)) return "An attribute is found by its value, as in code=500; < and > compare durations, as in >100ms.";
  if (/\s=|=\s/.test(rest)) return 'An attribute has no blanks around its =, as in a="b".';
  return "";
}
