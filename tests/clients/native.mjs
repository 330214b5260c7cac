// The few steps that other dialects have no words for, over the native API: using a one-time link,
// signing in and out, naming a passkey.

import { device, parseCreationOptions, parseRequestOptions } from "./browser.mjs";
import { equal, filled, shaped } from "./steps.mjs";

export const EMAIL = "alice@example.com";
export const NAME = "Alice Ample";

/** A JSON request of a page of the gateway's own; its answer, if it has this status. */
export async function ask(browser, method, path, { body, status = 200 } = {}) {
  const init = { method };
  if (body !== undefined) {
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  return answered(await browser.home(() => browser.fetch(path, init)), status, `${method} ${path}`);
}

/** The JSON of an answer, if it has this status; undefined for an empty one. */
export async function answered(response, status, what) {
  const body = await response.text();
  equal(response.status, status, `the status of ${what}`);
  return body === "" ? undefined : JSON.parse(body);
}

/** Uses a link up. The session it gives may only add a passkey. */
export async function redeem(browser, link) {
  const [address, secret] = link.split("#");
  equal(address, `${browser.origin}/auth/enroll`, "the address of the link");
  const body = { token: secret, email: EMAIL, name: NAME };
  const redeemed = await ask(browser, "POST", "/auth/invitations/redeem", { body, status: 201 });
  return shaped(redeemed, { token: filled, user: { id: filled, email: filled } }, "what the link gave");
}

/** Adds a passkey of the browser's device. */
export async function register(browser, name) {
  const options = await ask(browser, "POST", "/auth/passkeys/register/options");
  const publicKey = parseCreationOptions(options);
  const credential = await browser.home(async () => (await browser.credentials().create({ publicKey })).toJSON());
  return ask(browser, "POST", "/auth/passkeys/register/verify", { body: { ...credential, name } });
}

/** Signs in with a passkey of the browser's device. */
export async function signIn(browser) {
  const options = await ask(browser, "POST", "/auth/passkeys/authenticate/options");
  const publicKey = parseRequestOptions(options);
  const credential = await browser.home(async () => (await browser.credentials().get({ publicKey })).toJSON());
  return ask(browser, "POST", "/auth/passkeys/authenticate/verify", { body: credential, status: 201 });
}

export async function signOut(browser) {
  await ask(browser, "DELETE", "/auth/sessions/", { status: 204 });
}

/** The caller's passkeys, whichever dialect made them. */
export async function passkeys(browser) {
  return ask(browser, "GET", "/auth/passkeys/");
}

export async function rename(browser, credentialId, name) {
  return ask(browser, "PATCH", `/auth/passkeys/${credentialId}`, { body: { name } });
}

/** Uses a device that has no passkey yet; the one before it. */
export function anotherDevice(browser) {
  const before = browser.device;
  browser.device = device();
  return before;
}
