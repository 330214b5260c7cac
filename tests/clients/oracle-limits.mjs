// The official better-auth server beside the gateway once more, over https, where both know their
// limits: a session that is no longer fresh, and a browser that asks too often.
//
// The gateway stands on the host of an application, where a new session pays for no change; the
// other server's session is made to look a day old.

import { betterAuthServer } from "./better-auth-server.mjs";
import { Browser } from "./browser.mjs";
import { EMAIL, NAME, redeem, register } from "./native.mjs";
import { compare } from "./oracle-comparison.mjs";
import { LIMIT_DIFFERENCES } from "./oracle-differences.mjs";
import { Side } from "./oracle-side.mjs";
import { equal, given, journey } from "./steps.mjs";

const DAY_MS = 86_400_000;
// More than either allows.
const REQUESTS_MAX = 60;
const rateLimit = { enabled: true, window: 60, max: 40 };

const origin = given("GATEWAY_ORIGIN");
const server = betterAuthServer(origin, { rateLimit });
const gateway = new Side(new Browser(origin));
const oracle = new Side(new Browser(origin, { transport: server.fetch }));

const CASES = [
  ["list, no longer fresh", (it) => it.get("/passkey/list-user-passkeys")],
  ["register options, no longer fresh", (it) => it.get("/passkey/generate-register-options")],
  ["registration, no longer fresh", (it) => it.verifyRegistration({ id: "x" })],
  ["update, no longer fresh", async (it) => it.post("/passkey/update-passkey", { id: (await it.passkeys())[0].id, name: "x" })],
  ["sign-in", async (it) => it.verifyAuthentication(await it.asserted())],
  ["register options, fresh again", (it) => it.get("/passkey/generate-register-options")],
  ["sign-out", (it) => it.post("/sign-out", {})],
  ["sign-in options, too often", async (it) => {
    let answer;
    for (let sent = 0; sent < REQUESTS_MAX && answer?.status !== 429; sent += 1) {
      answer = await it.get("/passkey/generate-authenticate-options");
    }
    return answer;
  }],
];

async function prepare() {
  await redeem(gateway.browser, given("GATEWAY_LINK"));
  await register(gateway.browser, "Laptop");
  await oracle.signUp(EMAIL, NAME, "Laptop");
  equal(server.tables.session.length, 1, "how many sessions there are");
  server.tables.session[0].createdAt = new Date(Date.now() - 2 * DAY_MS);
}

await journey(gateway.browser, async (step) => {
  await step("both know Alice, whose session is old", prepare);
  await compare(step, CASES, [gateway, oracle], LIMIT_DIFFERENCES);
});
