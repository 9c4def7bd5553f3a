// Writes the values of attributes.

/** An OTLP AnyValue as text. Inside an array or a map it is written as in JSON, so that its parts are told apart. */
export function written(value = {}, inside = false) {
  const [[kind, content] = []] = Object.entries(value);
  const { values = [] } = content ?? {};
  switch (kind) {
    case undefined: return inside ? "null" : "";
    case "stringValue": return inside ? JSON.stringify(content) : content;
    case "bytesValue": return inside ? `base64 ${JSON.stringify(content)}` : content;
    case "arrayValue": return `[${values.map((each) => written(each, true)).join(",")}]`;
    case "kvlistValue": return `{${values.map(({ key = "", value }) => `${JSON.stringify(key)}:${written(value, true)}`).join(",")}}`;
    default: return String(content);
  }
}

/** What a reader would not see of a value, in words. */
export function remark({ stringValue, bytesValue, ...others } = {}) {
  if (bytesValue !== undefined) return `${(bytesValue.length * 3) / 4 - bytesValue.replace(/[^=]/g, "").length} bytes, in base64`;
  if (stringValue === "") return "(empty)";
  if (stringValue === undefined) return Object.keys(others).length === 0 ? "(no value)" : "";
  if (stringValue.trim() === "") return `(blank, of length ${stringValue.length})`;
  return looksLikeAnotherKind(stringValue) ? "(text)" : "";
}

/** Whether a text reads like a number, a boolean, an array or a map, which would look the same. */
function looksLikeAnotherKind(text) {
  return /^(true|false|NaN|-?Infinity|-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)$/i.test(text) || hasParts({ stringValue: text });
}

/** Whether the text of a value can be laid out: it is an array, a map, or JSON of one. */
export function hasParts({ stringValue, arrayValue, kvlistValue } = {}) {
  if (arrayValue || kvlistValue) return true;
  if (!/^\s*[[{]/.test(stringValue)) return false;
  try {
    return JSON.parse(stringValue) !== null;
  } catch {
    return false;
  }
}

/** JSON on lines of its own, indented. Its numbers and texts stay as they were written: parsed, a long number would change. */
export function laidOut(json) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.min(depth, 20))}`;
  return json.replace(/"(?:[^"\\]|\\.)*"|\s+|\[\s*\]|\{\s*\}|[[\]{},:]/g, (part) => {
    if (part.trim() === "") return "";
    if (part === ",") return `,${line()}`;
    if (part === ":") return ": ";
    if (part === "[" || part === "{") {
      depth += 1;
      return part + line();
    }
    if (part === "]" || part === "}") {
      depth -= 1;
      return line() + part;
    }
    return part;
  });
}
