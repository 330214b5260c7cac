// WebAuthn as browsers have it: JSON in and out, with a fallback where the browser lacks it.

import { call, callInTurn, payingWith } from "./api.js";

const SIGNAL_TIMEOUT_MS = 2_000;

export const supported = () => typeof window.PublicKeyCredential === "function" && Boolean(navigator.credentials);

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

const base64url = (buffer) =>
  btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join(""))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const descriptors = (list) => (list || []).map((item) => ({ ...item, id: bytes(item.id) }));

function requestOptions(json) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(json);
  return { ...json, challenge: bytes(json.challenge), allowCredentials: descriptors(json.allowCredentials) };
}

function creationOptions(json) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(json);
  return {
    ...json,
    challenge: bytes(json.challenge),
    user: { ...json.user, id: bytes(json.user.id) },
    excludeCredentials: descriptors(json.excludeCredentials),
  };
}

function toJson(credential) {
  try {
    // Some password managers answer with objects whose toJSON is missing or throws.
    return credential.toJSON();
  } catch {
    const { response } = credential;
    const fields = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
    const encoded = Object.fromEntries(fields.filter((f) => response[f]).map((f) => [f, base64url(response[f])]));
    if (response.getTransports) encoded.transports = response.getTransports();
    return {
      id: credential.id,
      rawId: base64url(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
      clientExtensionResults: {},
      response: encoded,
    };
  }
}

/** What a ceremony was about, for the message when it fails. */
function remember(error, rpId, startedAt, credentialId) {
  error.ceremony = { rpId, elapsedMs: performance.now() - startedAt, credentialId };
  return error;
}

async function ceremony(rpId, run) {
  const startedAt = performance.now();
  try {
    const credential = await run();
    if (!credential) throw new DOMException("no credential", "NotAllowedError");
    return credential;
  } catch (error) {
    throw remember(error, rpId, startedAt);
  }
}

/** Asks the server for a challenge. The answer is the same whether the address is known or not. */
export const beginAssertion = (email, change) =>
  callInTurn("POST", "passkeys/authenticate/options", email || change ? { email, change } : undefined);

/** Asks the person for a passkey. */
export const assert = (options, { mediation, signal } = {}) =>
  ceremony(options.rpId, () => navigator.credentials.get({ publicKey: requestOptions(options), mediation, signal }));

/** Shows the passkey to the server, which answers with a session cookie. */
export async function finishAssertion(credential, rpId, more = {}) {
  try {
    return await call("POST", "passkeys/authenticate/verify", { ...toJson(credential), ...more });
  } catch (error) {
    if (error.code === "unknown_credential") signal("signalUnknownCredential", { rpId, credentialId: credential.id });
    throw error;
  }
}

/** A whole sign-in, asked for by a press of a button; or a passkey shown again for one change. */
export async function authenticate(email, change) {
  const options = await beginAssertion(email, change);
  return finishAssertion(await assert(options), options.rpId);
}

/** Creates a passkey for the signed-in user; resolves to the passkey as the server keeps it. */
export async function register(name) {
  const options = await callInTurn("POST", "passkeys/register/options");
  const credential = await ceremony(options.rp.id, () =>
    navigator.credentials.create({ publicKey: creationOptions(options) }));
  return call("POST", "passkeys/register/verify", name ? { name, ...toJson(credential) } : toJson(credential));
}

// The server has another code for administrators.
const STEP_UP_CODES = ["session_not_fresh", "step_up_required"];

/** Runs `request`; when the server wants a fresh passkey first, asks for one and tries once more. */
export async function withFreshPasskey(request) {
  try {
    return await request();
  } catch (error) {
    if (!STEP_UP_CODES.includes(error.code)) throw error;
    const { stepUp } = await authenticate(undefined, error.change);
    return payingWith(stepUp, request);
  }
}

/** Tells the browser's passkey store something. A browser that does not listen is no failure. */
export async function signal(name, details) {
  if (!supported() || typeof PublicKeyCredential[name] !== "function") return;
  const timeout = new Promise((resolve) => setTimeout(resolve, SIGNAL_TIMEOUT_MS));
  await Promise.race([PublicKeyCredential[name](details), timeout]).catch(() => {});
}

/**
 * Whether the browser keeps no cookies of this site. Without one no ceremony can be finished.
 * Tried out, because Chromium's `navigator.cookieEnabled` is true even where it keeps none.
 */
export function cookiesBlocked() {
  const probe = "vestibule-probe";
  document.cookie = `${probe}=1; SameSite=Strict`;
  const kept = document.cookie.includes(`${probe}=1`);
  document.cookie = `${probe}=; Max-Age=0; SameSite=Strict`;
  return !kept;
}

/** Shows the section that says why passkeys cannot work here; true when it did. */
export function explainIfUnsupported(copied) {
  if (supported()) return false;
  const why = document.getElementById(window.isSecureContext ? "unsupported" : "insecure");
  why.hidden = false;
  document.getElementById("ways").hidden = true;
  document.getElementById("copy-link").addEventListener("click", async () => {
    document.getElementById("copied").textContent = await copied(location.href);
  });
  return true;
}
