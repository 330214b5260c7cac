// Zitadel's Auth API, through its official protobuf schemas: requests are encoded with them, answers
// decoded strictly, and encoded again, which has to give what was sent.

import { create, createRegistry, fromJson, toJson } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import * as auth from "@zitadel/proto/zitadel/auth_pb";
import { ErrorDetailSchema } from "@zitadel/proto/zitadel/message_pb";
import { AuthFactorState } from "@zitadel/proto/zitadel/user_pb";

import { Browser, parseCreationOptions } from "./browser.mjs";
import { anotherDevice, ask, EMAIL, passkeys, redeem, register, rename, signIn, signOut } from "./native.mjs";
import { base64, equal, filled, given, holds, journey, shaped } from "./steps.mjs";

// The HTTP status and the gRPC code of each.
const OUTCOME = {
  INVALID_ARGUMENT: [400, 3],
  NOT_FOUND: [404, 5],
  FAILED_PRECONDITION: [400, 9],
  UNIMPLEMENTED: [405, 12],
  UNAUTHENTICATED: [401, 16],
};
const HOUR_S = 3600n;
const registry = createRegistry(ErrorDetailSchema);

const browser = new Browser(given("GATEWAY_ORIGIN"));
browser.becomeGlobal();
let token;

/** Sends JSON with the token, as a program does; the answer's status and JSON. */
async function send(method, path, json) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  if (json !== undefined) headers["content-type"] = "application/json";
  const init = { method, credentials: "omit", headers, body: json && JSON.stringify(json) };
  const response = await browser.fetch(`/auth/v1/users/me/passwordless${path}`, init);
  return [response.status, await response.json()];
}

/** Calls a method by its message types. */
async function call(name, method, path, message) {
  const request = message && toJson(auth[`${name}RequestSchema`], create(auth[`${name}RequestSchema`], message));
  const [status, json] = await send(method, path, request);
  equal(status, 200, `the status of ${name}`);
  const schema = auth[`${name}ResponseSchema`];
  const decoded = fromJson(schema, json);
  equal(canonical(json), canonical(toJson(schema, decoded)), `the answer of ${name}, decoded and encoded again`);
  return decoded;
}

// A fraction of a second that is zero may be written or left out.
const canonical = (json) => JSON.parse(JSON.stringify(json).replaceAll(".000Z", "Z"));

/** Checks that a request fails so; google.rpc.Status is code, message and details. */
async function fails(outcome, method, path, json) {
  const [status, body] = await send(method, path, json);
  equal([status, body.code], OUTCOME[outcome], `the status and code of ${method} ${path || "/"}`);
  shaped(body.message, filled, "the message");
  equal(Object.keys(body).filter((key) => !["code", "message", "details"].includes(key)), [], "what else the failure has");
  for (const detail of body.details ?? []) {
    const { id, message } = anyUnpack(fromJson(AnySchema, detail, { registry }), registry);
    shaped({ id, message }, { id: filled, message: filled }, "the detail");
  }
}

/** Adds a key of the browser's device; what is sent to verify it. */
async function begin() {
  const { key, details } = await call("AddMyPasswordless", "POST", "", {});
  holds(details.sequence >= 0n && details.creationDate && details.changeDate && details.resourceOwner, "the details are complete");
  shaped(browser.lastTo("/passwordless").answer.match(/"publicKey":"([^"]*)"/)[1], base64, "the options");
  const options = JSON.parse(new TextDecoder().decode(key.publicKey));
  equal(Object.keys(options), ["publicKey"], "what the options are wrapped in");
  const selection = { residentKey: "required", requireResidentKey: true, userVerification: "required" };
  equal(options.publicKey.authenticatorSelection, selection, "authenticatorSelection");
  return options;
}

async function add(tokenName) {
  const publicKey = parseCreationOptions((await begin()).publicKey);
  const { id, rawId, type, response } = (await browser.credentials().create({ publicKey })).toJSON();
  const answer = { id, rawId, type, response: { attestationObject: response.attestationObject, clientDataJSON: response.clientDataJSON } };
  const publicKeyCredential = new TextEncoder().encode(JSON.stringify(answer));
  const { details } = await call("VerifyMyPasswordless", "POST", "/_verify", { verification: { publicKeyCredential, tokenName } });
  holds(details.changeDate, "the details have a change date");
}

async function list() {
  const { result } = await call("ListMyPasswordless", "POST", "/_search");
  result.forEach((it) => equal(it.state, AuthFactorState.READY, "the state of a token"));
  return result;
}

await journey(browser, async (step) => {
  await step("needs a token", async () => {
    await fails("UNAUTHENTICATED", "POST", "", {});
    await fails("UNAUTHENTICATED", "POST", "/_search");
    await fails("UNAUTHENTICATED", "DELETE", "/1");
  });
  await step("enrols with the session of the link", async () => {
    ({ token } = await redeem(browser, given("GATEWAY_LINK")));
    await add("Laptop");
  });
  const laptop = browser.device;
  const first = await step("lists it", async () => {
    const [only, ...more] = await list();
    equal([only.name, more], ["Laptop", []], "the list");
    return only;
  });
  await step("sees its new name", async () => {
    const [{ id }] = await passkeys(browser);
    await rename(browser, id, "Old laptop");
    equal((await list()).map((it) => [it.id, it.name]), [[first.id, "Old laptop"]], "the list");
  });
  await step("cannot verify twice", () =>
    fails("FAILED_PRECONDITION", "POST", "/_verify", JSON.parse(browser.lastTo("/_verify").body)),
  );
  await step("is told by its authenticator that it has one", async () => {
    const { publicKey } = await begin();
    const error = await browser.credentials().create({ publicKey: parseCreationOptions(publicKey) }).catch((thrown) => thrown);
    equal(error.name, "InvalidStateError", "what is thrown");
  });
  await step("signs out, and its token with it", async () => {
    await signOut(browser);
    await fails("UNAUTHENTICATED", "POST", "/_search");
  });
  await step("signs in", async () => {
    ({ token } = await signIn(browser));
    equal((await list()).length, 1, "how many there are");
  });
  anotherDevice(browser);
  await step("adds a second", () => add("Phone"));
  await step("removes the first", async () => {
    const { details } = await call("RemoveMyPasswordless", "DELETE", `/${first.id}`);
    holds(details.changeDate, "the details have a change date");
    equal((await list()).map((it) => it.name), ["Phone"], "the list");
  });
  await step("cannot remove what is not there, nor the last", async () => {
    await fails("NOT_FOUND", "DELETE", `/${first.id}`);
    const [{ id }] = await list();
    await fails("FAILED_PRECONDITION", "DELETE", `/${id}`);
  });
  await step("is told what is wrong with a request", async () => {
    const short = toJson(auth.VerifyMyPasswordlessRequestSchema, create(auth.VerifyMyPasswordlessRequestSchema, {
      verification: { publicKeyCredential: new Uint8Array(54), tokenName: "Short" },
    }));
    await fails("INVALID_ARGUMENT", "POST", "/_verify", {});
    await fails("INVALID_ARGUMENT", "POST", "/_verify", short);
    const unnamed = JSON.parse(browser.lastTo("/_verify").body);
    unnamed.verification.tokenName = "";
    await fails("INVALID_ARGUMENT", "POST", "/_verify", unnamed);
    await fails("UNIMPLEMENTED", "GET", "/_verify");
    await fails("NOT_FOUND", "POST", "/_unknown/path", {});
  });
  await step("gets a link for another device, which adds a passkey there", async () => {
    const { link, expiration, details } = await call("AddMyPasswordlessLink", "POST", "/_link", {});
    equal(expiration.seconds, HOUR_S, "how long the link is good for");
    holds(details.creationDate, "the details have a creation date");
    const other = new Browser(browser.origin);
    const { user } = await redeem(other, link);
    equal(user.email, EMAIL, "whose link it is");
    await register(other, "Tablet");
    equal((await list()).map((it) => it.name).sort(), ["Phone", "Tablet"], "the list");
  });
  await step("cannot have a link sent without mail", () => fails("FAILED_PRECONDITION", "POST", "/_send_link", {}));
  await step("cannot sign in with the one that was removed", async () => {
    browser.device = laptop;
    const options = await ask(browser, "POST", "/auth/passkeys/authenticate/options");
    const credential = browser.device.getJSON(browser.origin, options);
    await ask(browser, "POST", "/auth/passkeys/authenticate/verify", { body: credential, status: 401 });
  });
});
