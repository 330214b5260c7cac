// A browser without a screen, for official clients: cookies, Origin and Fetch Metadata as browsers
// send them, and `navigator.credentials` with an emulated authenticator behind it.
//
// What does not live here: what is done with it (the drivers), and how a driver reports (steps.mjs).
// What always holds: nothing is sent to another origin than the gateway's, a cookie that a browser
// would refuse is an error, and options that a browser could not read are refused as it would.

import * as emulator from "nid-webauthn-emulator";
import { Jar } from "./jar.mjs";

const EXCHANGES_KEPT = 6;
const BODY_SHOWN = 600;
const AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";
const BASE64URL = /^[A-Za-z0-9_-]+$/;

const { WebAuthnEmulator, AuthenticatorEmulator, PasskeysCredentialsMemoryRepository } = emulator.default;
const { parseCreationOptionsFromJSON, parseRequestOptionsFromJSON } = emulator.default;

/** An authenticator of its own, that nobody has used. */
export function device(params = {}) {
  const credentialsRepository = new PasskeysCredentialsMemoryRepository();
  return new WebAuthnEmulator(new AuthenticatorEmulator({ credentialsRepository, ...params }));
}

/** One person's browser, on a page of the gateway's origin. `transport` carries its requests. */
export class Browser {
  constructor(origin, transport = fetch) {
    this.origin = origin;
    this.transport = transport;
    this.jar = new Jar(new URL(origin));
    /** The authenticator that answers. */
    this.device = device();
    /** The last exchanges, for whoever has to find out why a check failed. */
    this.exchanges = [];
    // Clients take it as a plain function.
    this.fetch = this.fetch.bind(this);
  }

  /** `fetch` as a script of the page has it. */
  async fetch(target, init = {}) {
    const asked = target instanceof Request ? target : new Request(new URL(target, this.origin), init);
    const headers = new Headers(asked.headers);
    if (!["GET", "HEAD"].includes(asked.method)) headers.set("origin", this.origin);
    headers.set("sec-fetch-site", "same-origin");
    headers.set("sec-fetch-mode", "cors");
    headers.set("sec-fetch-dest", "empty");
    return this.send(asked, headers);
  }

  /** A request with exactly these headers and the cookies of the jar. */
  async send(asked, headers = new Headers(asked.headers)) {
    const url = new URL(asked.url);
    if (url.origin !== this.origin) throw new Error(`a request to ${url.origin}, which is not the gateway`);
    const cookies = asked.credentials === "omit" ? "" : this.jar.header(url.pathname);
    if (cookies) headers.set("cookie", cookies);
    if (!headers.has("user-agent")) headers.set("user-agent", AGENT);
    const body = asked.body === null ? undefined : await asked.text();
    const signal = asked.signal;
    const answer = await this.transport(url, { method: asked.method, headers, body, signal, redirect: "manual" });
    if (asked.credentials !== "omit") answer.headers.getSetCookie().forEach((line) => this.jar.store(line));
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

  /** The last request that was sent, and what came back. */
  get last() {
    return this.exchanges.at(-1);
  }

  /** The last request to a path that ends so. */
  lastTo(path) {
    return this.exchanges.findLast((exchange) => exchange.path.split("?")[0].endsWith(path));
  }

  /** What was sent last, in words. */
  describe() {
    const shown = (text) => (text === undefined ? "" : text.slice(0, BODY_SHOWN));
    return this.exchanges
      .map((it) => `${it.method} ${it.path}\n  sent ${shown(it.body)}\n  got ${it.status} ${shown(it.answer)}`)
      .join("\n");
  }

  /** Gives this process the globals that clients expect of the page they run in. */
  becomeGlobal() {
    const page = { addEventListener() {}, removeEventListener() {}, hidden: false, visibilityState: "visible" };
    // The page has a field for autofill.
    page.querySelectorAll = () => [{}];
    const jar = this.jar;
    Object.defineProperty(page, "cookie", { get: () => jar.visible(), set: (line) => jar.storeFromScript(line) });
    define(globalThis, "window", globalThis);
    define(globalThis, "document", page);
    define(globalThis, "location", new URL(this.origin));
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
      create: ({ publicKey, signal }) => answer(signal, () => this.device.create(this.origin, { publicKey })),
      get: ({ publicKey, signal }) => answer(signal, () => this.device.get(this.origin, { publicKey })),
    };
  }
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
