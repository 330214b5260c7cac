// oCore's API, with @github/webauthn-json for the ceremonies: options and credentials as JSON, options
// wrapped in `publicKey`.

import { Browser } from "./browser.mjs";
import { anotherDevice, answered, ask, EMAIL, NAME, redeem, signOut } from "./native.mjs";
import { base64url, equal, exactly, filled, flag, given, holds, journey, moment, nullable, shaped, text, uuid } from "./steps.mjs";

const browser = new Browser(given("GATEWAY_ORIGIN"));
browser.becomeGlobal();
// Clients look for the page they run in when they are loaded.
const { create, get } = await import("@github/webauthn-json");

const LISTED = {
  id: base64url,
  deviceName: text,
  createdAt: moment,
  lastUsedAt: nullable(moment),
  backupEligible: flag,
  backupState: flag,
  transport: [text],
};
const SIGNED_IN = {
  user: { id: uuid, email: exactly(EMAIL), name: exactly(NAME) },
  token: filled,
  access_token: filled,
  refresh_token: filled,
  token_type: exactly("Bearer"),
};
const FAILURE = { error: filled, message: filled };

/** A request with a token and no cookies, as an app sends it. */
async function app(token, method, path, { body, status = 200 } = {}) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const response = await browser.fetch(`/api${path}`, { method, credentials: "omit", headers, body: body && JSON.stringify(body) });
  return answered(response, status, `${method} ${path}`);
}

const page = (method, path, expected) => ask(browser, method, `/api${path}`, expected);
const refused = async (method, path, expected) => shaped(await page(method, path, expected), FAILURE, `the answer to ${path}`);

async function add(send, name) {
  const options = await send("POST", "/user/passkeys/register/begin", { body: { device_name: "Said first" } });
  equal(Object.keys(options), ["publicKey"], "what options are wrapped in");
  const body = await create(options);
  const added = await send("POST", `/user/passkeys/register/finish?device_name=${encodeURIComponent(name)}`, { body, status: 201 });
  return shaped(added, { id: exactly(body.id), device_name: exactly(name), created_at: moment }, "the new passkey");
}

/** Begins and answers a sign-in; the credential. */
async function answer(begun = {}) {
  const options = await page("POST", "/auth/passkey/login/begin", begun);
  equal(Object.keys(options), ["publicKey"], "what options are wrapped in");
  equal(options.publicKey.allowCredentials ?? [], [], "the allow list");
  return get(options);
}

async function signIn(begun, query = "") {
  const body = await answer(begun);
  return shaped(await page("POST", `/auth/passkey/login/finish${query}`, { body }), SIGNED_IN, "the answer");
}

await journey(browser, async (step) => {
  await step("uses the link, and may do nothing but enrol", async () => {
    await redeem(browser, given("GATEWAY_LINK"));
    await refused("GET", "/user/passkeys", { status: 401 });
  });
  const laptop = browser.device;
  const first = await step("enrols", () => add(page, "Laptop"));
  await step("lists it", async () => {
    const { passkeys } = shaped(await page("GET", "/user/passkeys"), { passkeys: [LISTED] }, "the list");
    equal(passkeys.map((it) => [it.id, it.deviceName]), [[first.id, "Laptop"]], "the passkeys");
  });
  await step("renames it", async () => {
    const renamed = await page("PATCH", `/user/passkeys/${first.id}`, { body: { device_name: "Old laptop" } });
    equal(renamed, { id: first.id, device_name: "Old laptop" }, "the answer");
  });
  await step("is told by its authenticator that it has one", async () => {
    const options = await page("POST", "/user/passkeys/register/begin", { body: {} });
    const error = await create(options).catch((thrown) => thrown);
    equal(error.name, "InvalidStateError", "what is thrown");
  });
  await step("signs out", async () => {
    await signOut(browser);
    await refused("GET", "/user/passkeys", { status: 401 });
  });
  await step("signs in, and has a session cookie as well", async () => {
    await signIn();
    shaped(await page("GET", "/user/passkeys"), { passkeys: [LISTED] }, "the list");
  });
  await step("cannot use the recorded sign-in", async () => {
    const body = JSON.parse(browser.lastTo("/login/finish").body);
    await refused("POST", "/auth/passkey/login/finish", { body, status: 400 });
  });
  await step("signs in with an address, known or not", async () => {
    await signIn({ body: { email: EMAIL } }, `?email=${EMAIL}`);
    const anonymous = { body: { email: "nobody@example.com" } };
    await refused("POST", "/auth/passkey/login/finish?email=nobody@example.com", { body: await answer(anonymous), status: 401 });
  });
  const tokens = await step("manages passkeys with the access token alone", async () => {
    const signedIn = await signIn();
    equal(signedIn.access_token.split(".").length, 3, "the parts of the access token");
    shaped(await app(signedIn.access_token, "GET", "/user/passkeys"), { passkeys: [LISTED] }, "the list");
    return signedIn;
  });
  anotherDevice(browser);
  const second = await step("adds a second passkey", () => add((...request) => app(tokens.access_token, ...request), "Phone"));
  await step("shows a passkey again before each change by access token", async () => {
    const answered = await app(tokens.access_token, "DELETE", `/user/passkeys/${first.id}`, { status: 403 });
    shaped(answered, FAILURE, "the answer");
  });
  await step("deletes the first", async () => {
    const again = await signIn();
    await app(again.access_token, "DELETE", `/user/passkeys/${first.id}`, { status: 204 });
    const { passkeys } = await page("GET", "/user/passkeys");
    equal(passkeys.map((it) => it.id), [second.id], "the passkeys");
  });
  await step("cannot name or delete what is not there", async () => {
    await refused("PATCH", `/user/passkeys/${first.id}`, { body: { device_name: "x" }, status: 404 });
    await refused("DELETE", `/user/passkeys/${first.id}`, { status: 404 });
    await refused("PATCH", `/user/passkeys/${second.id}`, { body: { device_name: "" }, status: 400 });
  });
  await step("cannot delete the last", () => refused("DELETE", `/user/passkeys/${second.id}`, { status: 409 }));
  await step("ends its tokens by signing out", async () => {
    await signOut(browser);
    await app(tokens.access_token, "GET", "/user/passkeys", { status: 401 });
    await app(tokens.token, "GET", "/user/passkeys", { status: 401 });
  });
  await step("cannot sign in with the one that was deleted", async () => {
    const phone = browser.device;
    browser.device = laptop;
    await refused("POST", "/auth/passkey/login/finish", { body: await answer(), status: 401 });
    browser.device = phone;
  });
  await step("signs in with the other, without any cookie", async () => {
    const alone = async (step, init) =>
      answered(await browser.fetch(`/api/auth/passkey/login/${step}`, { method: "POST", credentials: "omit", ...init }), 200, step);
    const body = JSON.stringify(await get(await alone("begin")));
    const { token } = shaped(await alone("finish", { headers: { "content-type": "application/json" }, body }), SIGNED_IN, "the answer");
    const cookies = browser.last.answerHeaders.getSetCookie();
    holds(!cookies.some((line) => line.startsWith("vestibule=")), "no session cookie is set for it");
    shaped(await app(token, "GET", "/user/passkeys"), { passkeys: [LISTED] }, "the list");
  });
});
