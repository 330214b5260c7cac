// The native API, as its web clients speak it: @simplewebauthn/browser for the ceremonies and plain
// requests for the rest.

import { Browser } from "./browser.mjs";
import { anotherDevice, answered, ask, EMAIL, redeem } from "./native.mjs";
import {
  base64, base64url, count, equal, exactly, filled, flag, given, holds, journey, moment, nullable, oneOf, shaped, text, uuid,
} from "./steps.mjs";

const browser = new Browser(given("GATEWAY_ORIGIN"));
browser.becomeGlobal();
// Clients look for the page they run in when they are loaded.
const { startRegistration, startAuthentication, WebAuthnError } = await import("@simplewebauthn/browser");

const PASSKEY = {
  id: base64url,
  name: text,
  userId: uuid,
  counter: count,
  deviceType: oneOf("singleDevice", "multiDevice"),
  backedUp: flag,
  transports: text,
  createdAt: moment,
};
const USER = {
  id: uuid,
  email: exactly(EMAIL),
  firstName: exactly("Alice"),
  lastName: exactly("Ample"),
  picture: nullable(text),
  createdAt: moment,
  updatedAt: moment,
};
const SIGNED_IN = { token: filled, user: USER };
const SESSION = { id: filled, userId: uuid, createdAt: moment, expiresAt: moment, ipv4: nullable(text), userAgent: nullable(text), current: flag };
const PROBLEM = { message: filled };

const api = (method, path, expected) => ask(browser, method, `/auth/${path}`, expected);
const refused = async (method, path, expected) => shaped(await api(method, path, expected), PROBLEM, `the answer to ${path}`);

// Options are asked for with neither a body nor a content type.
async function begin(path) {
  const options = await api("POST", path);
  const { headers, body } = browser.last;
  equal([body, headers.get("content-type")], [undefined, null], "what asks for options");
  return options;
}

async function add(name) {
  const optionsJSON = await begin("passkeys/register/options");
  const credential = await startRegistration({ optionsJSON });
  const added = await api("POST", "passkeys/register/verify", { body: { name, ...credential } });
  shaped(added, { ...PASSKEY, id: exactly(credential.id), name: exactly(name) }, "the new passkey");
  equal("publicKey" in added, false, "whether the answer has the public key");
  return { added, optionsJSON };
}

async function signIn(autofill = false) {
  const optionsJSON = await begin("passkeys/authenticate/options");
  shaped(optionsJSON, { rpId: exactly("localhost"), challenge: base64url, userVerification: exactly("required") }, "options");
  equal("allowCredentials" in optionsJSON, false, "whether there is an allow list");
  const credential = await startAuthentication({ optionsJSON, useBrowserAutofill: autofill, verifyBrowserAutofillInput: false });
  const signedIn = await api("POST", "passkeys/authenticate/verify", { body: credential, status: 201 });
  return shaped(signedIn, SIGNED_IN, "the answer");
}

/** What a program with a token and no cookies is told. */
async function byToken(token, path, status = 200) {
  const init = { credentials: "omit", headers: { authorization: `Bearer ${token}` } };
  return answered(await browser.fetch(`/auth/${path}`, init), status, `${path} by token`);
}

await journey(browser, async (step) => {
  await step("uses the link, and may do nothing but enrol", async () => {
    await redeem(browser, given("GATEWAY_LINK"));
    await refused("GET", "passkeys/", { status: 401 });
  });
  const laptop = browser.device;
  const first = await step("enrols", async () => {
    const { added, optionsJSON } = await add("Laptop");
    const selection = { residentKey: "required", requireResidentKey: true, userVerification: "required" };
    equal(optionsJSON.authenticatorSelection, selection, "authenticatorSelection");
    equal([optionsJSON.attestation, optionsJSON.user.name], ["none", EMAIL], "attestation and account");
    return added;
  });
  await step("knows who it is", async () => shaped(await api("GET", "sessions/current"), SIGNED_IN, "the session"));
  await step("lists it, with and without a trailing slash", async () => {
    const listed = await api("GET", "passkeys/");
    shaped(listed, [{ ...PASSKEY, publicKey: base64 }], "the list");
    equal(await api("GET", "passkeys"), listed, "the list without slash");
    equal(listed.map((it) => [it.id, it.name]), [[first.id, "Laptop"]], "the passkeys");
  });
  await step("renames it", async () => {
    const renamed = await api("PATCH", `passkeys/${first.id}`, { body: { name: "Old laptop" } });
    equal([renamed.id, renamed.name], [first.id, "Old laptop"], "the renamed passkey");
  });
  await step("is told by its authenticator that it has one", async () => {
    const optionsJSON = await begin("passkeys/register/options");
    equal(optionsJSON.excludeCredentials, [{ type: "public-key", id: first.id, transports: ["usb"] }], "excludeCredentials");
    const error = await startRegistration({ optionsJSON }).catch((thrown) => thrown);
    holds(error instanceof WebAuthnError, `a WebAuthnError is thrown, not ${error}`);
    equal(error.code, "ERROR_AUTHENTICATOR_PREVIOUSLY_REGISTERED", "the code of the error");
  });
  await step("signs out, as often as it likes", async () => {
    await api("DELETE", "sessions/", { status: 204 });
    equal(browser.jar.get("vestibule"), undefined, "the session cookie");
    equal(await api("GET", "sessions/current", { status: 204 }), undefined, "the session");
    await api("DELETE", "sessions", { status: 204 });
    await refused("GET", "passkeys/", { status: 401 });
  });
  await step("signs in", () => signIn());
  await step("cannot use the recorded sign-in", async () => {
    const recorded = JSON.parse(browser.lastTo("/passkeys/authenticate/verify").body);
    await refused("POST", "passkeys/authenticate/verify", { body: recorded, status: 401 });
    await begin("passkeys/authenticate/options");
    await refused("POST", "passkeys/authenticate/verify", { body: recorded, status: 401 });
  });
  await step("is told what is wrong with a request", async () => {
    await begin("passkeys/register/options");
    await refused("POST", "passkeys/register/verify", { body: { name: "Empty" }, status: 422 });
    await refused("POST", "passkeys/register/verify", { body: {}, status: 400 });
    await refused("POST", "sessions/", { body: { method: "password", email: EMAIL, token: "x" }, status: 422 });
  });
  await step("signs in from the autofill menu, and sees its sessions", async () => {
    const { token } = await signIn(true);
    const sessions = shaped(await api("GET", "sessions/"), [SESSION], "the sessions");
    equal(sessions.filter((it) => it.current).length, 1, "how many of them are this one");
    holds(!JSON.stringify(sessions).includes(token), "no session in the list gives its token away");
    shaped(await byToken(token, "sessions/current"), SIGNED_IN, "whose token it is");
  });
  await step("is told its permissions", async () => {
    const { permissions } = await api("GET", "sessions/current/permissions");
    shaped(permissions, [text], "the permissions");
    holds(permissions.includes("passkeys:manage"), `passkeys:manage is in ${permissions}`);
  });
  await step("exchanges the token of a sign-in, once", async () => {
    const { token } = await signIn();
    const body = { method: "passkey", email: EMAIL, token };
    const exchanged = shaped(await api("POST", "sessions/", { body, status: 201 }), SIGNED_IN, "the answer");
    holds(exchanged.token !== token, "the token is another one");
    await byToken(token, "sessions/current", 204);
    await refused("POST", "sessions/", { body, status: 401 });
    shaped(await api("GET", "sessions/current"), SIGNED_IN, "the session");
  });
  anotherDevice(browser);
  const second = await step("adds a second passkey", async () => (await add("Phone")).added);
  await step("deletes the first, as often as it likes", async () => {
    await api("DELETE", `passkeys/${first.id}`, { status: 204 });
    await api("DELETE", `passkeys/${first.id}`, { status: 204 });
    equal((await api("GET", "passkeys/")).map((it) => it.id), [second.id], "the passkeys");
  });
  await step("cannot delete the last", () => refused("DELETE", `passkeys/${second.id}`, { status: 409 }));
  await step("cannot sign in with the one that was deleted", async () => {
    await api("DELETE", "sessions/", { status: 204 });
    const optionsJSON = await begin("passkeys/authenticate/options");
    const phone = browser.device;
    browser.device = laptop;
    const credential = await startAuthentication({ optionsJSON });
    const { code } = await refused("POST", "passkeys/authenticate/verify", { body: credential, status: 401 });
    equal(code, "unknown_credential", "the code");
    await PublicKeyCredential.signalUnknownCredential({ rpId: optionsJSON.rpId, credentialId: credential.id });
    browser.device = phone;
  });
  await step("signs in with the other, and ends that session from the list", async () => {
    const { token } = await signIn();
    const [{ id }] = (await byToken(token, "sessions/")).filter((it) => it.current);
    await api("DELETE", `sessions/${id}`, { status: 204 });
    await byToken(token, "sessions/current", 204);
  });
});
