// A browser without a screen, for official clients: cookies, Origin and Fetch Metadata as browsers
// send them, and `navigator.credentials` with an emulated authenticator behind it.
//
// What does not live here: what is done with it (the drivers), and how a driver reports (steps.mjs).
// What always holds: nothing is sent to another origin than the gateway's, nothing that a browser would
// keep from a page of another origin reaches it, a cookie that a browser would refuse is an error, and
// options that a browser could not read are refused as it would.

import dns from "node:dns";
import * as emulator from "nid-webauthn-emulator";
import { allows, preflight } from "./cross-origin.mjs";
import { Jar } from "./jar.mjs";

const EXCHANGES_KEPT = 16;
const EXCHANGES_SHOWN = 6;
const BODY_SHOWN = 600;
const AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";
const BASE64URL = /^[A-Za-z0-9_-]+$/;

const { WebAuthnEmulator, AuthenticatorEmulator, PasskeysCredentialsMemoryRepository } = emulator.default;
const { parseCreationOptionsFromJSON, parseRequestOptionsFromJSON } = emulator.default;

// Every name is this machine: no DNS server knows the names of gateways under test.
dns.lookup = (_name, options, found) => {
  const here = { address: "127.0.0.1", family: 4 };
  if (options.all) found(null, [here]);
  else found(null, here.address, here.family);
};

/** A new authenticator, without credentials. */
export function device(params = {}) {
  const credentialsRepository = new PasskeysCredentialsMemoryRepository();
  return new WebAuthnEmulator(new AuthenticatorEmulator({ credentialsRepository, ...params }));
}

/** One person's browser. `page` is where the client runs, unless that is the gateway's own origin. */
export class Browser {
  constructor(origin, { page = origin, transport = fetch } = {}) {
    this.origin = origin;
    this.page = page;
    this.transport = transport;
    /** The gateway's cookies, and those of the page. */
    this.jar = new Jar(new URL(origin));
    this.pageJar = page === origin ? this.jar : new Jar(new URL(page));
    /** The authenticator that answers. */
    this.device = device();
    /** The last exchanges, for the developer who looks for the reason of a failed check. */
    this.exchanges = [];
    // Clients take it as a plain function.
    this.fetch = this.fetch.bind(this);
  }

  /** Does `act` on a page of the gateway's own. */
  async home(act) {
    const page = this.page;
    this.page = this.origin;
    try {
      return await act();
    } finally {
      this.page = page;
    }
  }

  /** `fetch` as a script of the page has it. */
  async fetch(target, init = {}) {
    const asked = target instanceof Request ? target : new Request(new URL(target, this.origin), init);
    const headers = new Headers(asked.headers);
    const elsewhere = this.page !== this.origin;
    const withCredentials = asked.credentials === "include" || (asked.credentials === "same-origin" && !elsewhere);
    const marks = this.marks(elsewhere);
    if (elsewhere) {
      const ask = (question) => this.send(new Request(asked.url, { method: "OPTIONS" }), marked(question, marks), false);
      await preflight(this.page, asked.method, headers, withCredentials, ask);
    }
    if (elsewhere || !["GET", "HEAD"].includes(asked.method)) headers.set("origin", this.page);
    const answer = await this.send(asked, marked(headers, marks), withCredentials);
    if (elsewhere) allows(this.page, answer, withCredentials);
    return answer;
  }

  /** Fetch Metadata. Pages elsewhere are of the same site, or cookies would not come along. */
  marks(elsewhere) {
    return { "sec-fetch-site": elsewhere ? "same-site" : "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" };
  }

  /** A request with exactly these headers, and the cookies of the jar if it is `withCredentials`. */
  async send(asked, headers = new Headers(asked.headers), withCredentials = true) {
    const url = new URL(asked.url);
    if (url.origin !== this.origin) throw new Error(`a request to ${url.origin}, which is not the gateway`);
    const cookies = withCredentials ? this.jar.header(url.pathname) : "";
    if (cookies) headers.set("cookie", cookies);
    if (!headers.has("user-agent")) headers.set("user-agent", AGENT);
    const body = asked.body === null ? undefined : await asked.text();
    const signal = asked.signal;
    const answer = await this.transport(url, { method: asked.method, headers, body, signal, redirect: "manual" });
    if (withCredentials) answer.headers.getSetCookie().forEach((line) => this.jar.store(line));
    await this.remember(asked, url, headers, body, answer);
    return answer;
  }

  async remember(asked, url, headers, body, answer) {
    const exchange = {
      method: asked.method,
      path: url.pathname + url.search,
      headers,
      body,
      status: answer.status,
      answerHeaders: answer.headers,
      answer: await answer.clone().text(),
    };
    this.exchanges = [...this.exchanges, exchange].slice(-EXCHANGES_KEPT);
  }

  /** The last request that the client made, and what came back. */
  get last() {
    return this.exchanges.findLast(({ method }) => method !== "OPTIONS");
  }

  /** The last one to a path that ends so. */
  lastTo(path) {
    const found = this.exchanges.findLast((it) => it.method !== "OPTIONS" && it.path.split("?")[0].endsWith(path));
    if (!found) throw new Error(`nothing was sent to ${path}`);
    return found;
  }

  /** What was sent last, in words. */
  describe() {
    const shown = (text) => (text === undefined ? "" : text.slice(0, BODY_SHOWN));
    return this.exchanges
      .slice(-EXCHANGES_SHOWN)
      .map((it) => `${it.method} ${it.path}\n  sent ${shown(it.body)}\n  got ${it.status} ${shown(it.answer)}`)
      .join("\n");
  }

  /** Gives this process the globals that clients expect of the page they run in. */
  becomeGlobal() {
    // The page is shown, and has a field for autofill.
    const page = Object.assign(new EventTarget(), { hidden: false, visibilityState: "visible", querySelectorAll: () => [{}] });
    const jar = this.pageJar;
    Object.defineProperty(page, "cookie", { get: () => jar.visible(), set: (line) => jar.storeFromScript(line) });
    define(globalThis, "window", globalThis);
    define(globalThis, "document", page);
    define(globalThis, "location", new URL(this.page));
    define(globalThis, "addEventListener", () => {});
    define(globalThis, "removeEventListener", () => {});
    define(globalThis, "localStorage", storage());
    define(globalThis, "PublicKeyCredential", publicKeyCredential(this));
    define(navigator, "credentials", this.credentials());
  }

  /** CredentialsContainer (WebAuthn Level 3, section 5.1). */
  credentials() {
    const answer = async (signal, act) => {
      signal?.throwIfAborted();
      try {
        return act();
      } catch (error) {
        throw asSpecified(error);
      }
    };
    return {
      create: ({ publicKey, signal }) => answer(signal, () => this.device.create(this.page, { publicKey })),
      get: ({ publicKey, signal }) => answer(signal, () => this.device.get(this.page, { publicKey })),
    };
  }
}

function marked(headers, marks) {
  Object.entries(marks).forEach(([name, value]) => headers.set(name, value));
  return headers;
}

function define(target, name, value) {
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
}

// The emulator says NotAllowedError for a credential that is excluded; browsers say
// InvalidStateError (section 5.1.3, step 22), and clients tell the two apart.
function asSpecified(error) {
  const excluded = error instanceof DOMException && error.message.includes("CTAP2_ERR_CREDENTIAL_EXCLUDED");
  return excluded ? new DOMException(error.message, "InvalidStateError") : error;
}

function publicKeyCredential(browser) {
  return class PublicKeyCredential {
    static parseCreationOptionsFromJSON = parseCreationOptions;
    static parseRequestOptionsFromJSON = parseRequestOptions;
    static isUserVerifyingPlatformAuthenticatorAvailable = async () => true;
    static isConditionalMediationAvailable = async () => true;
    static signalUnknownCredential = async (options) => browser.device.signalUnknownCredential(options);
    static signalAllAcceptedCredentials = async (options) => browser.device.signalAllAcceptedCredentials(options);
    static signalCurrentUserDetails = async (options) => browser.device.signalCurrentUserDetails(options);
  };
}

/** As browsers do it: what is not unpadded base64url, or not there, is an error. */
export function parseCreationOptions(json) {
  binary(json.challenge, "challenge");
  binary(json.user?.id, "user.id");
  for (const member of ["name", "displayName"]) text(json.user[member], `user.${member}`);
  text(json.rp?.name, "rp.name");
  if (!Array.isArray(json.pubKeyCredParams)) throw new TypeError("pubKeyCredParams is not a list");
  (json.excludeCredentials ?? []).forEach((it) => binary(it.id, "excludeCredentials.id"));
  return parseCreationOptionsFromJSON(json);
}

export function parseRequestOptions(json) {
  binary(json.challenge, "challenge");
  (json.allowCredentials ?? []).forEach((it) => binary(it.id, "allowCredentials.id"));
  return parseRequestOptionsFromJSON(json);
}

function text(value, member) {
  if (typeof value !== "string") throw new TypeError(`${member} is not a text: ${JSON.stringify(value)}`);
}

function binary(value, member) {
  text(value, member);
  if (!BASE64URL.test(value)) throw new DOMException(`${member} is not base64url: ${value}`, "EncodingError");
}

function storage() {
  const items = new Map();
  return {
    getItem: (key) => items.get(String(key)) ?? null,
    setItem: (key, value) => items.set(String(key), String(value)),
    removeItem: (key) => items.delete(String(key)),
    clear: () => items.clear(),
  };
}
