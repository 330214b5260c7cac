// Corbado's web-core, on a page of another origin than the gateway, which stands where the client looks
// for its Frontend API: https://<project>.<suffix>.

import { registerHooks } from "node:module";
import axios, { AxiosError } from "axios";

import { Browser } from "./browser.mjs";
import { anotherDevice, ask, EMAIL, NAME, passkeys, redeem, register, rename, signOut } from "./native.mjs";
import { base64url, called, count, equal, exactly, filled, flag, given, holds, journey, oneOf, optional, shaped, text, uuid } from "./steps.mjs";

const browser = new Browser(given("GATEWAY_ORIGIN"), { page: given("GATEWAY_PAGE") });
browser.becomeGlobal();
// The client logs to the console; its lines are not steps.
for (const level of ["log", "warn", "error", "info", "debug", "trace"]) console[level] = () => {};

// The fingerprint that the client takes of a browser needs a page that is drawn, and waits for ever
// for one. Its loader gives a fixed one here; all else is as published.
const LOADER = "var index = { load: load,";
const FIXED = 'var index = { load: async () => ({ get: async () => ({ visitorId: "visitor" }) }),';
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith("/@corbado/web-core/dist/index.js")) return loaded;
    const source = String(loaded.source);
    equal(source.split(LOADER).length, 2, "how many pieces the loader of the fingerprint divides the client into");
    return { ...loaded, source: source.replace(LOADER, FIXED) };
  },
});

// What XMLHttpRequest is to the client in a browser.
axios.defaults.adapter = async (config) => {
  const headers = new Headers();
  for (const [name, value] of Object.entries(config.headers.toJSON())) headers.set(name, value);
  if (config.data === undefined) headers.delete("content-type");
  const credentials = config.withCredentials ? "include" : "same-origin";
  const init = { method: config.method.toUpperCase(), headers, body: config.data, credentials, signal: config.signal };
  const answer = await browser.fetch(axios.getUri(config), init);
  const { status, statusText } = answer;
  const response = { data: await answer.text(), status, statusText, headers: Object.fromEntries(answer.headers), config };
  if (config.validateStatus(response.status)) return response;
  throw new AxiosError(`status ${response.status}`, AxiosError.ERR_BAD_REQUEST, config, undefined, response);
};

const { AuthState, CorbadoApp } = await import("@corbado/web-core");

const [projectId, ...suffix] = new URL(browser.origin).host.split(".");
const app = new CorbadoApp({ projectId, frontendApiUrlSuffix: suffix.join(".") });
const { authProcessService: login, sessionService: session } = app;
const stop = () => new AbortController();

const LOCAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/;
const time = called("a moment without zone", (value) => value === "" || LOCAL.test(value));
const PASSKEY = {
  id: called("cre-...", (value) => /^cre-./.test(value)),
  credentialID: base64url,
  attestationType: text,
  transport: [oneOf("usb", "nfc", "ble", "internal", "hybrid", "smart-card")],
  backupEligible: flag,
  backupState: flag,
  authenticatorAAGUID: uuid,
  aaguidDetails: { name: text, iconLight: text, iconDark: text },
  sourceOS: text,
  sourceBrowser: text,
  lastUsed: time,
  created: time,
  status: oneOf("pending", "active"),
  createdMs: count,
  lastUsedMs: count,
  tags: [text],
};
const GENERIC = {
  httpStatusCode: count,
  message: text,
  requestData: { requestID: filled, link: text },
  runtime: called("a number", (value) => typeof value === "number"),
};
const CLAIMS = {
  sub: filled,
  name: exactly(NAME),
  email: exactly(EMAIL),
  orig: text,
  exp: count,
  iat: count,
  nbf: count,
  iss: filled,
  jti: filled,
  version: called("there", (value) => value !== undefined),
};

/** The value of a Result that is one. */
function ok(result, what) {
  holds(result.ok, `${what} succeeds: ${result.val}`);
  return result.val;
}

/** Checks the error that the client made of the gateway's answer to `path`. */
function refused(result, type, status, path) {
  holds(result.err, "the client is refused");
  holds(result.val.message.includes(`(${type})`), `the client's error tells of ${type}: ${result.val.message}`);
  const { status: said, answer } = browser.lastTo(path);
  equal(said, status, "the status");
  shaped(JSON.parse(answer), { ...GENERIC, httpStatusCode: exactly(status), error: { type: exactly(type), links: [text] } }, "the failure");
}

/** A raw request of the page, for what the client has no method for. */
async function raw(method, path, body, expected) {
  const headers = { "x-corbado-projectid": projectId };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await browser.fetch(`/v2${path}`, { method, headers, credentials: "include", body: body && JSON.stringify(body) });
  equal(answer.status, expected, `the status of ${method} ${path}`);
  return answer.json();
}

const list = async () => {
  const { passkeys: found, paging } = ok(await session.passkeyList(stop()), "passkeyList");
  equal(paging, { page: 1, totalPages: 1, totalItems: found.length }, "paging");
  return shaped(found, [PASSKEY], "the passkeys");
};

/** Takes what a finished sign-in gives. */
function enter(block) {
  equal(block.blockBody.block, "completed", "the block");
  const { data } = block.blockBody;
  const tokens = { sessionToken: filled, shortSession: exactly(data.sessionToken) };
  shaped(data, { ...tokens, refreshToken: optional(text), longSession: optional(text) }, "the data");
  session.setSession(data.sessionToken, data.refreshToken ?? data.longSession);
  equal(session.authStateChanges.value, AuthState.LoggedIn, "the state");
  shaped(session.getUser(), CLAIMS, "the claims of the session token");
}

async function begin() {
  login.clearProcess();
  const begun = ok(await login.init(stop()), "init");
  const block = { block: exactly("login-init"), authType: text, data: { isEmailAvailable: exactly(true) } };
  const common = { appName: text, frontendApiUrl: exactly(browser.origin), hideBadge: flag, environment: text };
  shaped(begun, { blockBody: block, common }, "the first block");
  return begun.blockBody.data;
}

await journey(browser, async (step) => {
  await step("has a passkey of the link", async () => {
    await redeem(browser, given("GATEWAY_LINK"));
    await register(browser, "Laptop");
    await signOut(browser);
  });
  const laptop = browser.device;
  await step("loads, and is nobody", async () => {
    await app.init();
    const config = JSON.parse(browser.lastTo("/session-config").answer);
    const cookie = { domain: text, secure: exactly(true), sameSite: oneOf("lax", "strict", "none"), path: text, lifetimeSeconds: count };
    shaped(config, { useSessionManagement: exactly(true), sessionTokenCookieConfig: cookie }, "the configuration");
    equal(config.frontendApiUrl ?? browser.origin, browser.origin, "where the client goes on");
    equal([session.getUser(), session.authStateChanges.value], [undefined, AuthState.LoggedOut], "who it is");
    refused(await session.passkeyList(stop()), "login_error", 401, "/me/passkeys");
    refused(await session.getFullUser(stop()), "login_error", 401, "/me");
  });
  await step("signs in from the autofill menu", async () => {
    const { conditionalUIChallenge } = await begin();
    enter(ok(await login.loginWithPasskeyChallenge(conditionalUIChallenge), "loginWithPasskeyChallenge"));
  });
  await step("cannot use the recorded sign-in", async () => {
    const { signedChallenge } = JSON.parse(browser.lastTo("/mediation/finish").body);
    await begin();
    const again = await login.finishPasskeyMediation(signedChallenge);
    holds(again.err || again.val.blockBody.block !== "completed", "it is refused");
  });
  await step("knows who it is", async () => {
    const identifier = { id: filled, value: filled, type: oneOf("email", "phone", "username"), status: filled };
    const user = ok(await session.getFullUser(stop()), "getFullUser");
    shaped(user, { id: filled, fullName: exactly(NAME), identifiers: [identifier], socialAccounts: [] }, "the user");
    equal(user.identifiers.find((it) => it.type === "email")?.value, EMAIL, "the address");
  });
  const first = await step("lists its passkey, whatever it is called", async () => {
    const [{ id, credentialID }, ...more] = await list();
    equal(more, [], "more passkeys");
    await rename(browser, credentialID, "Old laptop");
    equal((await passkeys(browser)).map((it) => it.name), ["Old laptop"], "the name");
    return id;
  });
  await step("changes the person's name", async () => {
    shaped(await raw("PATCH", "/me", { fullName: "Alice B. Ample" }, 200), GENERIC, "the answer");
    equal(ok(await session.getFullUser(stop()), "getFullUser").fullName, "Alice B. Ample", "the name");
    await raw("PATCH", "/me", { fullName: NAME }, 200);
  });
  await step("is told by its authenticator that it has one", async () => {
    const again = await session.appendPasskey();
    holds(again.err, "a second passkey of this device is refused");
    holds(["errors.excludeCredentialsMatch", "errors.passkeyAlreadyExists"].includes(again.val.name), `the error is ${again.val.name}`);
  });
  await step("adds a second passkey", async () => {
    anotherDevice(browser);
    localStorage.removeItem(`cbo_client_handle-${projectId}`);
    ok(await session.appendPasskey(), "appendPasskey");
    const started = JSON.parse(browser.lastTo("/append/start").answer);
    const options = JSON.parse(started.attestationOptions);
    equal(Object.keys(options), ["publicKey"], "what options are wrapped in");
    shaped(started.newClientEnvHandle, filled, "the handle of this browser");
    equal((await list()).length, 2, "how many there are");
  });
  await step("is told by the gateway that this browser has one", async () => {
    const again = await session.appendPasskey();
    equal([again.err, again.val?.name], [true, "errors.passkeyAlreadyExists"], "the error");
    equal(JSON.parse(browser.last.answer).appendNotAllowedReason, "passkey_already_exists", "the reason");
  });
  await step("renews its session with a cookie alone, once its token is old", async () => {
    const { value } = session.sessionToken;
    const [head, , signature] = value.split(".");
    const old = Buffer.from(JSON.stringify({ ...session.getUser(), exp: 1 })).toString("base64url");
    session.setSession([head, old, signature].join("."), localStorage.getItem("cbo_refresh_token") ?? undefined);
    const renewed = new Promise((resolve) => {
      session.sessionTokenChanges.subscribe((token) => token && !token.includes(old) && resolve(token));
    });
    document.dispatchEvent(new Event("visibilitychange"));
    shaped(JSON.parse(Buffer.from((await renewed).split(".")[1], "base64url")), CLAIMS, "the claims of the new token");
    const { shortSession, sessionToken } = JSON.parse(browser.lastTo("/me/refresh").answer);
    equal(shortSession, sessionToken, "the token under its old name");
    equal((await list()).length, 2, "how many there are");
    equal(browser.last.headers.get("authorization"), null, "Authorization, which the client leaves out from now on");
  });
  await step("deletes the first", async () => {
    ok(await session.passkeyDelete(first), "passkeyDelete");
    equal(JSON.parse(browser.last.answer).id, first, "the id in the answer");
    equal((await list()).length, 1, "how many there are");
  });
  await step("cannot delete what is not there, nor the last", async () => {
    refused(await session.passkeyDelete(first), "not_found", 404, `/me/passkeys/${first}`);
    const [{ id }] = await list();
    refused(await session.passkeyDelete(id), "validation_error", 400, `/me/passkeys/${id}`);
  });
  await step("is told what is wrong with a request", async () => {
    const failure = (type) => ({ ...GENERIC, error: { type: exactly(type), links: [text] } });
    const nothing = { attestationResponse: "{}", clientInformation: {} };
    shaped(await raw("POST", "/me/passkeys/append/finish", nothing, 400), failure("validation_error"), "an answer to nothing");
    shaped(await raw("POST", "/me", {}, 405), failure("method_not_allowed"), "a wrong method");
    shaped(await raw("GET", "/unknown", undefined, 404), failure("not_found"), "an unknown route");
  });
  await step("signs out", async () => {
    await session.logout();
    equal(browser.lastTo("/me/logout").status, 204, "the status");
    equal([session.getUser(), session.authStateChanges.value], [undefined, AuthState.LoggedOut], "who it is");
    await ask(browser, "GET", "/auth/sessions/current", { status: 204 });
    refused(await session.passkeyList(stop()), "login_error", 401, "/me/passkeys");
  });
  const phone = browser.device;
  await step("cannot sign in with the one that was deleted", async () => {
    browser.device = laptop;
    const { conditionalUIChallenge } = await begin();
    refused(await login.loginWithPasskeyChallenge(conditionalUIChallenge), "not_found", 404, "/mediation/finish");
  });
  await step("signs in with an address and the other", async () => {
    browser.device = phone;
    await begin();
    const block = ok(await login.initLogin(EMAIL, false), "initLogin");
    equal(block.blockBody.block, "passkey-verify", "the block");
    enter(ok(await login.loginWithPasskey(), "loginWithPasskey"));
    equal((await list()).length, 1, "how many there are");
  });
});
