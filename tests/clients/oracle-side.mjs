// One of the two servers that oracle.mjs compares, with a browser in front of it, and what an answer
// of it comes down to.
//
// What does not live here: what is asked (oracle.mjs), and which differences are right
// (oracle-differences.mjs).

import { device, parseCreationOptions, parseRequestOptions } from "./browser.mjs";
import { equal } from "./steps.mjs";

// Texts that mean something to a program; of others only the kind is compared.
const LITERAL = new Set(["code", "type", "attestation", "rpId", "userVerification", "residentKey", "email", "deviceType", "transports"]);
const HEADERS = ["content-type", "cache-control", "access-control-expose-headers", "location", "x-retry-after"];
// Their values are secrets or counters: whether they are there is what counts.
const PRESENT = new Set(["set-auth-token", "x-retry-after"]);
const COOKIES = { session: /(session_token|vestibule)$/, challenge: /better-auth-passkey$/ };

export class Side {
  constructor(browser) {
    this.browser = browser;
  }

  /** Makes an account with better-auth, where people choose a password first, and adds a passkey. */
  async signUp(email, name, passkey) {
    const account = { email, name, password: "only better-auth asks for one" };
    equal((await this.post("/sign-up/email", account)).status, 200, "the status of signing up");
    equal((await this.verifyRegistration(await this.created(), { name: passkey })).status, 200, "the status of the first passkey");
  }

  /** Sends a request from a page; `headers` and `body` are sent as they are. */
  send(method, path, { headers = {}, body, credentials } = {}) {
    return this.browser.fetch(`/api/auth${path}`, { method, headers, body, credentials });
  }

  get(path, init) {
    return this.send("GET", path, init);
  }

  post(path, body, { headers = {}, ...init } = {}) {
    return this.send("POST", path, { ...init, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
  }

  /** Sends JSON that says of itself that it comes from `origin`; undefined for saying nothing. */
  postFrom(origin, path, body) {
    const headers = new Headers({ "content-type": "application/json" });
    if (origin !== undefined) headers.set("origin", origin);
    const url = `${this.browser.origin}/api/auth${path}`;
    return this.browser.send(new Request(url, { method: "POST", headers, body: JSON.stringify(body) }));
  }

  async json(path) {
    return (await this.get(path)).json();
  }

  /** Begins a registration and answers it; the credential, as clients of 1.7 send it. */
  async created(query = "") {
    const publicKey = parseCreationOptions(await this.json(`/passkey/generate-register-options${query}`));
    return sent(await this.browser.credentials().create({ publicKey }));
  }

  /** Begins a sign-in and answers it. */
  async asserted() {
    const publicKey = parseRequestOptions(await this.json("/passkey/generate-authenticate-options"));
    return sent(await this.browser.credentials().get({ publicKey }));
  }

  verifyRegistration(response, more = {}) {
    return this.post("/passkey/verify-registration", { response, ...more });
  }

  verifyAuthentication(response) {
    return this.post("/passkey/verify-authentication", { response });
  }

  async passkeys() {
    return this.json("/passkey/list-user-passkeys");
  }

  byToken(token, path) {
    return this.get(path, { credentials: "omit", headers: { authorization: `Bearer ${token}` } });
  }

  /** Does `act` with a device that has no passkey yet. */
  async onNewDevice(act) {
    const before = this.browser.device;
    this.browser.device = device();
    try {
      return await act();
    } finally {
      this.browser.device = before;
    }
  }

  /** Does `act` and has the cookies of before, as an attacker who has recorded them. */
  async keepingCookies(act) {
    const before = new Map(this.browser.jar.cookies);
    const result = await act();
    this.browser.jar.cookies = before;
    return result;
  }

  /** Does `act` as a browser that has never been here, with the same device. */
  async anonymously(act) {
    const cookies = this.browser.jar.cookies;
    this.browser.jar.cookies = new Map();
    try {
      return await act();
    } finally {
      this.browser.jar.cookies = cookies;
    }
  }
}

function sent(credential) {
  const { clientExtensionResults, ...response } = credential.toJSON();
  return response;
}

/** What an answer comes down to: a flat map of what programs can depend on. */
export async function essence(response) {
  const found = { status: response.status };
  for (const name of [...HEADERS, "set-auth-token"]) {
    const value = response.headers.get(name);
    if (value !== null) found[name] = PRESENT.has(name) ? "there" : value.split(";")[0];
  }
  for (const line of response.headers.getSetCookie()) Object.assign(found, cookie(line));
  const text = await response.text();
  if (text === "") found.body = "nothing";
  else Object.assign(found, body(text));
  return found;
}

function body(text) {
  try {
    return flat(JSON.parse(text), "body", "body");
  } catch {
    return { body: "not JSON" };
  }
}

function cookie(line) {
  const [pair, ...attributes] = line.split(/;\s*/);
  const [name] = pair.split("=");
  const kind = Object.keys(COOKIES).find((it) => COOKIES[it].test(name)) ?? name;
  const taken = attributes.some((it) => /^max-age=0$/i.test(it));
  return { [`cookie ${kind}`]: taken ? "taken back" : attributes.sort().join("; ") };
}

/** Every member with its path, and its kind or what it says. */
function flat(value, path, name) {
  if (Array.isArray(value)) {
    const items = value.map((item) => flat(item, `${path}[]`, name));
    return Object.assign({ [path]: value.length === 0 ? "an empty list" : "a list" }, ...items);
  }
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).map(([key, inner]) => flat(inner, `${path}.${key}`, key));
    return Object.assign({ [path]: "an object" }, ...members);
  }
  if (value === null || typeof value === "boolean" || LITERAL.has(name)) return { [path]: value };
  return { [path]: typeof value === "string" && value === "" ? "an empty text" : kinds[typeof value] };
}

const kinds = { string: "a text", number: "a number" };
