// A cookie jar for one host, as strict as browsers are (RFC 6265bis, section 5).
//
// What always holds: a cookie that a browser would drop is an error here, because a dropped cookie
// makes a client fail without a message.

/** The cookies of one host. */
export class Jar {
  constructor(url) {
    this.host = url.hostname;
    this.https = url.protocol === "https:";
    this.cookies = new Map();
  }

  /** Takes one `Set-Cookie` header. */
  store(line) {
    const cookie = this.read(line);
    const key = `${cookie.name};${cookie.path}`;
    if (cookie.expires <= Date.now()) this.cookies.delete(key);
    else this.cookies.set(key, cookie);
  }

  /** What a script writes to `document.cookie`. */
  storeFromScript(line) {
    const cookie = this.read(line);
    const key = `${cookie.name};${cookie.path}`;
    if (cookie.httpOnly || this.cookies.get(key)?.httpOnly) return;
    this.store(line);
  }

  read(line) {
    const [pair, ...rest] = line.split(";");
    const [name, value] = halves(pair);
    const attributes = new Map(rest.map(halves).map(([key, text]) => [key.toLowerCase(), text]));
    const refuse = (why) => {
      throw new Error(`a browser would refuse this cookie, ${why}: ${line}`);
    };
    const domain = attributes.get("domain") || this.host;
    if (domain !== this.host) refuse("it is for another host");
    if (attributes.has("secure") && !this.https && this.host !== "localhost") refuse("it needs https");
    if (name.startsWith("__Host-") && (!attributes.has("secure") || attributes.get("path") !== "/" || attributes.get("domain"))) {
      refuse("its name promises what it does not keep");
    }
    if (name.startsWith("__Secure-") && !attributes.has("secure")) refuse("its name promises what it does not keep");
    if (attributes.get("samesite")?.toLowerCase() === "none" && !attributes.has("secure")) refuse("SameSite=None needs Secure");
    return { name, value, path: attributes.get("path") || "/", httpOnly: attributes.has("httponly"), expires: expiry(attributes) };
  }

  /** The `Cookie` header for a path; "" for none. */
  header(path) {
    return this.matching(path).map(({ name, value }) => `${name}=${value}`).join("; ");
  }

  /** `document.cookie` of a page at the root. */
  visible() {
    return this.matching("/").filter((it) => !it.httpOnly).map(({ name, value }) => `${name}=${value}`).join("; ");
  }

  /** The value of the cookie whose name ends so. */
  get(suffix) {
    return [...this.cookies.values()].find(({ name }) => name.endsWith(suffix))?.value;
  }

  /** Forgets the cookie whose name ends so. */
  forget(suffix) {
    for (const [key, { name }] of this.cookies) if (name.endsWith(suffix)) this.cookies.delete(key);
  }

  matching(path) {
    const within = (parent) => path === parent || path.startsWith(parent.endsWith("/") ? parent : `${parent}/`);
    return [...this.cookies.values()].filter((it) => within(it.path) && it.expires > Date.now());
  }
}

function halves(text) {
  const at = text.indexOf("=");
  return at < 0 ? [text.trim(), ""] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

function expiry(attributes) {
  if (attributes.has("max-age")) return Date.now() + Number(attributes.get("max-age")) * 1000;
  if (attributes.has("expires")) return Date.parse(attributes.get("expires"));
  return Infinity;
}
