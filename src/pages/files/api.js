// Speaks the native API: JSON, same origin, the session in an HttpOnly cookie that no script sees.

const prefix = document.body.dataset.prefix;
const TIMEOUT_MS = 20_000;
const RETRY_AFTER_S_DEFAULT = 30;
const RETRY_AFTER_S_MAX = 3_600;

/** An answer that is not a success, or a missing answer (status 0). */
export class Problem extends Error {
  constructor(status, body = {}, waitS = 0, request = "") {
    super(body.detail || body.message || body.title || String(status));
    this.name = "Problem";
    this.status = status;
    this.code = body.code || "";
    this.detail = body.detail || body.message || "";
    this.waitS = waitS;
    this.retryAfterS = Math.min(waitS, RETRY_AFTER_S_MAX);
    /** The id of the request, to quote. */
    this.request = request;
  }
}

// Retry-After is either seconds or an HTTP date (RFC 9110, section 10.2.3).
function waitS(response) {
  const value = response.headers.get("Retry-After");
  if (!value) return response.status === 429 ? RETRY_AFTER_S_DEFAULT : 0;
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000);
  return Math.max(seconds || 0, 0);
}

async function bodyOf(response) {
  if (!/\bjson\b/.test(response.headers.get("Content-Type") || "")) return undefined;
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

// The nonce that pays for the present change; the server gives it when a passkey is shown for it.
let stepUp;

/** Runs `request` with the nonce of a step-up. */
export async function payingWith(nonce, request) {
  stepUp = nonce;
  try {
    return await request();
  } finally {
    stepUp = undefined;
  }
}

/** Sends one request; resolves to the JSON body, or undefined when there is none. */
export async function call(method, path, body) {
  const request = { method, credentials: "same-origin", cache: "no-store", redirect: "error", headers: { Accept: "application/json" } };
  if (stepUp) request.headers["X-Vestibule-Step-Up"] = stepUp;
  if (AbortSignal.timeout) request.signal = AbortSignal.timeout(TIMEOUT_MS);
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`${prefix}/${path}`, request);
  } catch {
    throw new Problem(0);
  }
  const answer = await bodyOf(response);
  if (!response.ok) {
    const problem = new Problem(response.status, answer, waitS(response), response.headers.get("X-Request-Id"));
    problem.change = `${method} ${path}`;
    throw problem;
  }
  return answer;
}

/** The attributes that `form` has fields for, as the API takes them; undefined where there is none. */
export function attributesOf(form) {
  const fields = [...form.querySelectorAll("[data-attribute]")];
  if (fields.length === 0) return undefined;
  return Object.fromEntries(fields.map((field) => [field.dataset.attribute, field.value.trim() || null]));
}

// The challenge of a ceremony travels in one cookie, so two requests for options must never
// overtake each other: the later cookie would belong to the earlier ceremony.
let last = Promise.resolve();

/** Like `call`, but after every earlier request of this kind has been answered. */
export function callInTurn(method, path, body) {
  const next = last.catch(() => {}).then(() => call(method, path, body));
  last = next;
  return next;
}
