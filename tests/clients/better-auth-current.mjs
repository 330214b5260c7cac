// better-auth 1.7.6 with its passkey plugin, which asks for sign-in options with GET. Its page may be of
// another origin than the gateway.

import { walk } from "./better-auth-journey.mjs";
import { Browser } from "./browser.mjs";
import { given, journey } from "./steps.mjs";

const browser = new Browser(given("GATEWAY_ORIGIN"), { page: process.env.GATEWAY_PAGE });
browser.becomeGlobal();
// Clients look for the page they run in when they are loaded.
const { createAuthClient } = await import("better-auth/client");
const { passkeyClient } = await import("@better-auth/passkey/client");

const client = createAuthClient({
  baseURL: `${browser.origin}/api/auth`,
  plugins: [passkeyClient()],
  fetchOptions: { customFetchImpl: browser.fetch },
});

await journey(browser, (step) =>
  walk(step, browser, given("GATEWAY_LINK"), client, { optionsRequest: ["GET", undefined, null], addPasskeyResolves: true }),
);
