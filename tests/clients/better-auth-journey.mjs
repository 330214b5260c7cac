// What a person lives with better-auth's client, whichever version. The drivers bring the client and
// say what is particular to it.

import { anotherDevice, EMAIL, NAME, redeem } from "./native.mjs";
import { base64, base64url, called, count, equal, exactly, filled, flag, holds, moment, oneOf, optional, shaped, text, uuid } from "./steps.mjs";

const RP_ID = process.env.GATEWAY_RP_ID ?? "localhost";

// The client turns moments into dates, except within lists.
const time = called("a moment", (value) => (value instanceof Date ? !Number.isNaN(value.getTime()) : moment(value)));

const PASSKEY = {
  id: filled,
  name: optional(text),
  publicKey: base64,
  userId: uuid,
  credentialID: base64url,
  counter: count,
  deviceType: oneOf("singleDevice", "multiDevice"),
  backedUp: flag,
  transports: text,
  createdAt: time,
  aaguid: optional(uuid),
};
const SESSION = {
  id: filled,
  token: filled,
  userId: uuid,
  expiresAt: time,
  createdAt: time,
  updatedAt: time,
  ipAddress: text,
  userAgent: text,
  impersonatedBy: exactly(null),
  activeOrganizationId: exactly(null),
};
const USER = {
  id: uuid,
  name: exactly(NAME),
  email: exactly(EMAIL),
  emailVerified: flag,
  createdAt: time,
  updatedAt: time,
  image: exactly(null),
  username: text,
  displayUsername: text,
  twoFactorEnabled: flag,
  role: text,
  banned: exactly(false),
  banReason: exactly(null),
  banExpires: exactly(null),
};
const SIGNED_IN = { session: SESSION, user: USER };

/** The client's data, if there is no error. */
function succeeded({ data, error }, what) {
  equal(error, null, `the error of ${what}`);
  return data;
}

/** Checks the client's error. */
function failed({ data, error }, status, code, what) {
  equal(data, null, `the data of ${what}`);
  equal({ status: error.status, code: error.code }, { status, code }, `the error of ${what}`);
  shaped(error.message, filled, `the message of ${what}`);
}

/** Sends the last request to `path` again, as an attacker who has recorded it. */
async function replay(browser, path) {
  const { method, path: target, headers, body } = browser.lastTo(path);
  const response = await browser.send(new Request(browser.origin + target, { method, body, headers }), new Headers(headers));
  return { status: response.status, ...(await response.json()) };
}

/**
 * Walks through everything. `client` is made by the version's `createAuthClient`; `version` says with
 * which method it asks for sign-in options, and what `addPasskey` resolves to.
 */
export async function walk(step, browser, link, client, version) {
  await step("uses the link, and is nobody before the first passkey", async () => {
    await redeem(browser, link);
    equal(succeeded(await client.getSession(), "getSession"), null, "the session while enrolling");
    failed(await client.passkey.listUserPasskeys(), 401, "UNAUTHORIZED", "a list while enrolling");
  });
  await step("finds the origins that may use its passkeys", async () => {
    const answer = await browser.fetch("/api/auth/.well-known/webauthn", { credentials: "omit" });
    equal(await answer.json(), { origins: [...new Set([browser.origin, browser.page])] }, "the document");
  });
  const laptop = browser.device;
  await step("enrols with addPasskey", () => add(browser, client, version, "Laptop"));
  await step("is signed in, as getSession tells", async () => {
    shaped(succeeded(await client.getSession(), "getSession"), SIGNED_IN, "the session");
    equal(browser.last.answerHeaders.get("cache-control"), "no-store", "Cache-Control of get-session");
  });
  const first = await step("lists one passkey", async () => {
    const [only, ...more] = await list(client);
    equal([only.name, more], ["Laptop", []], "the list");
    return only;
  });
  await step("renames it", () => rename(client, first.id));
  await step("is told that this device has a passkey", async () => {
    const again = await client.passkey.addPasskey({ name: "Again" });
    failed(again, 400, "ERROR_AUTHENTICATOR_PREVIOUSLY_REGISTERED", "the same device again");
  });
  await step("signs out", () => signOut(browser, client));
  await step("signs in with the passkey", () => signIn(browser, client, version));
  await step("cannot use the recorded sign-in", async () => {
    const replayed = await replay(browser, "/passkey/verify-authentication");
    equal([replayed.status, replayed.code], [400, "CHALLENGE_NOT_FOUND"], "a replay");
  });
  anotherDevice(browser);
  await step("adds a second passkey", () => add(browser, client, version, "Phone"));
  await step("deletes the first", async () => {
    equal(succeeded(await client.passkey.deletePasskey({ id: first.id }), "deletePasskey"), { status: true }, "the answer");
    equal((await list(client)).map((it) => it.name), ["Phone"], "the list");
  });
  await step("cannot name or delete what is not there", async () => {
    failed(await client.passkey.deletePasskey({ id: first.id }), 404, "PASSKEY_NOT_FOUND", "deleting it again");
    failed(await client.passkey.updatePasskey({ id: first.id, name: "x" }), 404, "PASSKEY_NOT_FOUND", "naming it");
    failed(await client.passkey.updatePasskey({ id: first.id, name: " " }), 400, "VALIDATION_ERROR", "an empty name");
  });
  await step("cannot delete the last", async () => {
    const [{ id }] = await list(client);
    failed(await client.passkey.deletePasskey({ id }), 400, "LAST_PASSKEY", "deleting the last");
  });
  await step("cannot sign in with the one that was deleted", async () => {
    await signOut(browser, client);
    const phone = browser.device;
    browser.device = laptop;
    failed(await client.signIn.passkey(), 401, "PASSKEY_NOT_FOUND", "a deleted passkey");
    browser.device = phone;
  });
  await step("signs in with the other, and uses the token in place of the cookie", () => bearer(browser, client, version));
}

async function add(browser, client, version, name) {
  const added = await client.passkey.addPasskey({ name });
  const { status, answer, answerHeaders } = browser.lastTo("/passkey/verify-registration");
  equal(status, 200, "the status of verify-registration");
  shaped(JSON.parse(answer), { ...PASSKEY, name: exactly(name) }, "the new passkey");
  holds(answerHeaders.getSetCookie().some((line) => /better-auth-passkey=;.*Max-Age=0/.test(line)), "the challenge cookie is taken back");
  if (version.addPasskeyResolves) shaped(succeeded(added, "addPasskey"), PASSKEY, "what addPasskey resolves to");
  else equal(added, undefined, "what addPasskey resolves to");
  checkCreationOptions(browser);
}

function checkCreationOptions(browser) {
  const options = JSON.parse(browser.lastTo("/passkey/generate-register-options").answer);
  const selection = { residentKey: "required", requireResidentKey: true, userVerification: "required" };
  shaped(options, { challenge: base64url, rp: { name: filled, id: exactly(RP_ID) }, attestation: exactly("none") }, "options");
  equal([options.user.name, options.user.displayName], [EMAIL, NAME], "the account in the options");
  equal(options.authenticatorSelection, selection, "authenticatorSelection");
}

async function list(client) {
  return shaped(succeeded(await client.passkey.listUserPasskeys(), "listUserPasskeys"), [PASSKEY], "the list");
}

async function rename(client, id) {
  const { passkey } = succeeded(await client.passkey.updatePasskey({ id, name: "  Old laptop " }), "updatePasskey");
  shaped(passkey, { ...PASSKEY, id: exactly(id), name: exactly("Old laptop") }, "the renamed passkey");
  equal((await list(client))[0].name, "Old laptop", "the name in the list");
}

async function signOut(browser, client) {
  equal(succeeded(await client.signOut(), "signOut"), { success: true }, "the answer");
  equal(browser.jar.get("vestibule"), undefined, "the session cookie");
  equal(succeeded(await client.getSession(), "getSession"), null, "the session");
  failed(await client.passkey.listUserPasskeys(), 401, "UNAUTHORIZED", "a list");
}

async function signIn(browser, client, version) {
  const before = browser.jar.get("vestibule");
  const signedIn = shaped(succeeded(await client.signIn.passkey(), "signIn.passkey"), SIGNED_IN, "the answer");
  const asked = browser.lastTo("/passkey/generate-authenticate-options");
  const sent = [asked.method, asked.body, asked.headers.get("content-type")];
  equal(sent, version.optionsRequest, "the request for options");
  const options = JSON.parse(asked.answer);
  shaped(options, { rpId: exactly(RP_ID), challenge: base64url, userVerification: exactly("required") }, "options");
  equal("allowCredentials" in options, false, "whether an anonymous client is told about passkeys");
  const { answerHeaders } = browser.lastTo("/passkey/verify-authentication");
  shaped(answerHeaders.get("set-auth-token"), filled, "set-auth-token");
  holds(answerHeaders.get("access-control-expose-headers")?.includes("set-auth-token"), "scripts may read set-auth-token");
  holds(browser.jar.get("vestibule") !== before, "there is a new session cookie");
  return signedIn;
}

async function bearer(browser, client, version) {
  const { session } = await signIn(browser, client, version);
  const handedOver = browser.lastTo("/passkey/verify-authentication").answerHeaders.get("set-auth-token");
  const by = async (token, path) => {
    const init = { credentials: "omit", headers: { authorization: `Bearer ${token}` } };
    return (await browser.fetch(`/api/auth${path}`, init)).json();
  };
  for (const token of [session.token, handedOver]) {
    shaped(await by(token, "/get-session"), { session: { id: exactly(session.id) }, user: { email: exactly(EMAIL) } }, "whose token it is");
    equal((await by(token, "/passkey/list-user-passkeys")).length, 1, "how many passkeys it shows");
  }
  await signOut(browser, client);
  equal(await by(handedOver, "/get-session"), null, "the token after signing out");
}
