// better-auth 1.3.34, whose passkey plugin is part of it and asks for sign-in options with a POST that
// has neither a body nor a content type.

import { walk } from "./better-auth-journey.mjs";
import { Browser } from "./browser.mjs";
import { given, journey } from "./steps.mjs";

const browser = new Browser(given("GATEWAY_ORIGIN"));
browser.becomeGlobal();
// Clients look for the page they run in when they are loaded.
const { createAuthClient } = await import("better-auth-1.3/client");
const { passkeyClient } = await import("better-auth-1.3/client/plugins");

const client = createAuthClient({
  baseURL: `${browser.origin}/api/auth`,
  plugins: [passkeyClient()],
  fetchOptions: { customFetchImpl: browser.fetch },
});

await journey(browser, (step) =>
  walk(step, browser, given("GATEWAY_LINK"), client, { optionsRequest: ["POST", undefined, null], addPasskeyResolves: false }),
);
