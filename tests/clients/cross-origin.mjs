// What a browser asks of a server before a page of another origin may speak to it, and read the
// answer (Fetch, section 3.2).
//
// What always holds: what the server does not allow by name is a TypeError here, as in a browser, and
// says why, which browsers tell only their console.

const SIMPLE_METHODS = ["GET", "HEAD", "POST"];
const SIMPLE_HEADERS = ["accept", "accept-language", "content-language"];
const SIMPLE_CONTENT = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/** The names of the headers that a page may not simply send. */
function unusual(headers) {
  const names = [...headers.keys()].filter((name) => !SIMPLE_HEADERS.includes(name));
  const content = headers.get("content-type")?.split(";")[0];
  return names.filter((name) => name !== "content-type" || !SIMPLE_CONTENT.includes(content)).sort();
}

/** The question to ask first, if the request needs one; `ask` sends it. */
export async function preflight(page, method, headers, withCredentials, ask) {
  const names = unusual(headers);
  if (SIMPLE_METHODS.includes(method) && names.length === 0) return;
  const question = new Headers({ origin: page, "access-control-request-method": method });
  if (names.length > 0) question.set("access-control-request-headers", names.join(","));
  const answer = await ask(question);
  if (!answer.ok) throw new TypeError(`the preflight request was answered ${answer.status}`);
  allows(page, answer, withCredentials);
  const methods = listed(answer, "access-control-allow-methods");
  if (!SIMPLE_METHODS.includes(method) && !methods.includes(method.toLowerCase())) {
    throw new TypeError(`${method} is not among the methods that are allowed: ${methods}`);
  }
  const allowed = listed(answer, "access-control-allow-headers");
  const missing = names.filter((name) => !allowed.includes(name));
  if (missing.length > 0) throw new TypeError(`${missing} are not among the headers that are allowed: ${allowed}`);
}

/** Whether the page may read an answer. */
export function allows(page, answer, withCredentials) {
  const origin = answer.headers.get("access-control-allow-origin");
  if (origin !== page) throw new TypeError(`Access-Control-Allow-Origin is ${origin}, and the page is of ${page}`);
  const credentials = answer.headers.get("access-control-allow-credentials");
  if (withCredentials && credentials !== "true") throw new TypeError(`Access-Control-Allow-Credentials is ${credentials}`);
}

const listed = (answer, name) => (answer.headers.get(name) ?? "").toLowerCase().split(/\s*,\s*/).filter(Boolean);
