// The official better-auth server beside the gateway: the same requests to both, one for each thing
// that can go right or wrong, and what the answers come down to compared member by member.
//
// What does not live here: what an answer comes down to (oracle-side.mjs), how they are compared
// (oracle-comparison.mjs), and which differences are right (oracle-differences.mjs).

import { betterAuthServer } from "./better-auth-server.mjs";
import { Browser } from "./browser.mjs";
import { EMAIL, NAME, redeem, register } from "./native.mjs";
import { compare } from "./oracle-comparison.mjs";
import { DIFFERENCES } from "./oracle-differences.mjs";
import { Side } from "./oracle-side.mjs";
import { given, journey } from "./steps.mjs";

const origin = given("GATEWAY_ORIGIN");
const gateway = new Side(new Browser(origin));
const oracle = new Side(new Browser(origin, { transport: betterAuthServer(origin).fetch }));

const NOT_JSON = { headers: { "content-type": "application/json" }, body: "{" };
const A_FORM = { headers: { "content-type": "application/x-www-form-urlencoded" }, body: "id=x" };
const ELSEWHERE = "https://elsewhere.example";

/** What is asked, in this order, of both. Each is a name and what leads to the answer to compare. */
const CASES = [
  ["get-session", (it) => it.get("/get-session")],
  ["list", (it) => it.get("/passkey/list-user-passkeys")],
  ["register options", (it) => it.get("/passkey/generate-register-options")],
  ["register options with everything", (it) => it.get("/passkey/generate-register-options?name=Phone&authenticatorAttachment=platform&context=x")],
  ["register options with a wrong attachment", (it) => it.get("/passkey/generate-register-options?authenticatorAttachment=telepathic")],
  ["sign-in options", (it) => it.get("/passkey/generate-authenticate-options")],
  // Clients before 1.4.1 ask with POST; today's server has forgotten it.
  ["sign-in options with POST", (it) => it.send(it === gateway ? "POST" : "GET", "/passkey/generate-authenticate-options")],

  ["registration", (it) => it.onNewDevice(async () => it.verifyRegistration(await it.created(), { name: "Phone" }))],
  ["registration with a session", (it) =>
    it.onNewDevice(async () => it.verifyRegistration(await it.created(), { name: "Watch", createSession: true }))],
  ["registration, replayed", (it) =>
    it.onNewDevice(async () => {
      const response = await it.created();
      await it.keepingCookies(() => it.verifyRegistration(response));
      return it.verifyRegistration(response);
    })],
  ["registration without a ceremony", (it) =>
    it.onNewDevice(async () => {
      it.unused = await it.created();
      it.browser.jar.forget("better-auth-passkey");
      return it.verifyRegistration(it.unused);
    })],
  ["registration with another challenge", async (it) => {
    await it.get("/passkey/generate-register-options");
    return it.verifyRegistration(it.unused);
  }],
  ["registration in a sign-in", async (it) => {
    await it.get("/passkey/generate-authenticate-options");
    return it.verifyRegistration(it.unused);
  }],
  ["registration without a response", async (it) => {
    await it.get("/passkey/generate-register-options");
    return it.post("/passkey/verify-registration", { name: "Phone" });
  }],
  ["registration with a response that is none", async (it) => {
    await it.get("/passkey/generate-register-options");
    return it.verifyRegistration({ id: "x" });
  }],
  ["registration with a name that is none", async (it) => {
    await it.get("/passkey/generate-register-options");
    return it.verifyRegistration(it.unused, { name: 7 });
  }],
  ["registration that is not JSON", (it) => it.send("POST", "/passkey/verify-registration", NOT_JSON)],
  ["registration as a form", (it) => it.send("POST", "/passkey/verify-registration", A_FORM)],

  ["update", async (it) => it.post("/passkey/update-passkey", { id: (await it.passkeys())[0].id, name: " Old laptop " })],
  ["update of nothing known", (it) => it.post("/passkey/update-passkey", { id: "unknown", name: "x" })],
  ["update of another's", (it) => it.post("/passkey/update-passkey", { id: it.anothers, name: "x" })],
  ["update with an empty name", async (it) => it.post("/passkey/update-passkey", { id: (await it.passkeys())[0].id, name: " " })],
  ["update without a name", (it) => it.post("/passkey/update-passkey", { id: "unknown" })],
  ["update without an id", (it) => it.post("/passkey/update-passkey", { name: "x" })],
  ["update that is not JSON", (it) => it.send("POST", "/passkey/update-passkey", NOT_JSON)],
  ["update as a form", (it) => it.send("POST", "/passkey/update-passkey", A_FORM)],
  ["update without a body", (it) => it.send("POST", "/passkey/update-passkey")],

  ["delete of nothing known", (it) => it.post("/passkey/delete-passkey", { id: "unknown" })],
  ["delete of another's", (it) => it.post("/passkey/delete-passkey", { id: it.anothers })],
  ["delete without an id", (it) => it.post("/passkey/delete-passkey", {})],
  ["delete with a number", (it) => it.post("/passkey/delete-passkey", { id: 7 })],
  ["delete that is not JSON", (it) => it.send("POST", "/passkey/delete-passkey", NOT_JSON)],
  ["delete as a form", (it) => it.send("POST", "/passkey/delete-passkey", A_FORM)],
  ["delete", async (it) => it.post("/passkey/delete-passkey", { id: (await it.passkeys())[1].id })],

  ["delete from nowhere", (it) => it.postFrom(undefined, "/passkey/delete-passkey", { id: "unknown" })],
  ["delete from null", (it) => it.postFrom("null", "/passkey/delete-passkey", { id: "unknown" })],
  ["delete from elsewhere", (it) => it.postFrom(ELSEWHERE, "/passkey/delete-passkey", { id: "unknown" })],
  ["sign-out from elsewhere", (it) => it.postFrom(ELSEWHERE, "/sign-out", {})],
  ["sign-in from nowhere", async (it) => {
    const response = await it.asserted();
    return it.postFrom(undefined, "/passkey/verify-authentication", { response });
  }],
  ["sign-in from elsewhere", async (it) => {
    const response = await it.asserted();
    return it.postFrom(ELSEWHERE, "/passkey/verify-authentication", { response });
  }],

  ["unknown route", (it) => it.get("/passkey/unknown")],
  ["the base", (it) => it.get("")],
  ["list with POST", (it) => it.post("/passkey/list-user-passkeys", {})],
  ["delete with GET", (it) => it.get("/passkey/delete-passkey")],
  ["update with PATCH", (it) => it.send("PATCH", "/passkey/update-passkey", { headers: { "content-type": "application/json" }, body: "{}" })],
  ["get-session with DELETE", (it) => it.send("DELETE", "/get-session")],
  ["list with a slash at the end", (it) => it.get("/passkey/list-user-passkeys/")],
  ["related origins", (it) => it.get("/.well-known/webauthn")],

  ["list for an anonymous client", (it) => it.anonymously(() => it.get("/passkey/list-user-passkeys"))],
  ["get-session for an anonymous client", (it) => it.anonymously(() => it.get("/get-session"))],
  ["sign-out for an anonymous client", (it) => it.anonymously(() => it.post("/sign-out", {}))],
  ["register options for an anonymous client", (it) => it.anonymously(() => it.get("/passkey/generate-register-options"))],
  ["registration for an anonymous client", (it) => it.anonymously(() => it.verifyRegistration(it.unused))],
  ["update for an anonymous client", (it) => it.anonymously(() => it.post("/passkey/update-passkey", { id: "x", name: "x" }))],
  ["delete for an anonymous client", (it) => it.anonymously(() => it.post("/passkey/delete-passkey", { id: "x" }))],
  ["sign-in options for an anonymous client", (it) => it.anonymously(() => it.get("/passkey/generate-authenticate-options"))],

  ["sign-in", (it) => it.anonymously(async () => it.verifyAuthentication(await it.asserted()))],
  ["sign-in, replayed", (it) =>
    it.anonymously(async () => {
      const response = await it.asserted();
      await it.keepingCookies(() => it.verifyAuthentication(response));
      return it.verifyAuthentication(response);
    })],
  ["sign-in without a ceremony", (it) =>
    it.anonymously(async () => {
      const response = await it.asserted();
      it.browser.jar.forget("better-auth-passkey");
      return it.verifyAuthentication(response);
    })],
  ["sign-in with another challenge", (it) =>
    it.anonymously(async () => {
      const response = await it.asserted();
      await it.get("/passkey/generate-authenticate-options");
      return it.verifyAuthentication(response);
    })],
  ["sign-in in a registration", async (it) => {
    const response = await it.asserted();
    await it.get("/passkey/generate-register-options");
    return it.verifyAuthentication(response);
  }],
  ["sign-in with a deleted passkey", (it) =>
    it.onNewDevice(async () => {
      const { id } = await (await it.verifyRegistration(await it.created())).json();
      await it.post("/passkey/delete-passkey", { id });
      return it.anonymously(async () => it.verifyAuthentication(await it.asserted()));
    })],
  ["sign-in with a wrong signature", (it) =>
    it.anonymously(async () => {
      const { signature } = (await it.asserted()).response;
      const { response, ...credential } = await it.asserted();
      return it.verifyAuthentication({ ...credential, response: { ...response, signature } });
    })],
  ["sign-in without a response", (it) =>
    it.anonymously(async () => {
      await it.get("/passkey/generate-authenticate-options");
      return it.post("/passkey/verify-authentication", {});
    })],
  ["sign-in with a response that is none", (it) =>
    it.anonymously(async () => {
      await it.get("/passkey/generate-authenticate-options");
      return it.verifyAuthentication({ id: "x" });
    })],
  ["sign-in that is not JSON", (it) => it.anonymously(() => it.send("POST", "/passkey/verify-authentication", NOT_JSON))],
  ["sign-in as a form", (it) => it.anonymously(() => it.send("POST", "/passkey/verify-authentication", A_FORM))],

  ["list by token", async (it) => it.byToken((await it.json("/get-session")).session.token, "/passkey/list-user-passkeys")],
  ["list by a token that is none", (it) => it.byToken("none", "/passkey/list-user-passkeys")],
  ["sign-out", async (it) => {
    it.token = (await it.json("/get-session")).session.token;
    return it.post("/sign-out", {});
  }],
  ["get-session after that", (it) => it.get("/get-session")],
  ["get-session by its token", (it) => it.byToken(it.token, "/get-session")],
];

/** Alice has a passkey with both, and so has Bob, whose passkey no other user may touch. */
async function prepare() {
  await redeem(gateway.browser, given("GATEWAY_LINK"));
  await register(gateway.browser, "Laptop");
  await oracle.signUp(EMAIL, NAME, "Laptop");
  const asBob = (side, enrol) =>
    side.onNewDevice(() =>
      side.anonymously(async () => {
        await enrol();
        [{ id: side.anothers }] = await side.passkeys();
      }),
    );
  await asBob(gateway, async () => {
    await redeem(gateway.browser, given("GATEWAY_INVITATION"));
    await register(gateway.browser, "Telephone");
  });
  await asBob(oracle, () => oracle.signUp("bob@example.com", "Bob", "Telephone"));
}

await journey(gateway.browser, async (step) => {
  await step("both know Alice and Bob", prepare);
  await compare(step, CASES, [gateway, oracle], DIFFERENCES);
});
