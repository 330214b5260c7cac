// The official better-auth server, in this process, with everything in memory: what the gateway's
// better-auth dialect is compared with. The plugins beside the passkey one add the members of users
// and sessions that the documented API shows.

import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { admin, bearer, organization, twoFactor, username } from "better-auth/plugins";
import { passkey } from "@better-auth/passkey";

const TABLES = ["user", "session", "account", "verification", "passkey", "organization", "member", "invitation", "twoFactor"];

/** A server for this origin; `fetch` is how it is reached. */
export function betterAuthServer(origin, more = {}) {
  const tables = Object.fromEntries(TABLES.map((name) => [name, []]));
  const auth = betterAuth({
    baseURL: origin,
    basePath: "/api/auth",
    secret: "a secret that protects nothing but this test",
    database: memoryAdapter(tables),
    emailAndPassword: { enabled: true },
    plugins: [bearer(), passkey({ rpID: "localhost", rpName: "Oracle", origin }), admin(), organization(), twoFactor(), username()],
    rateLimit: { enabled: false },
    logger: { disabled: true },
    telemetry: { enabled: false },
    ...more,
  });
  const fetch = (url, { headers, ...init }) => {
    const forwarded = new Headers(headers);
    forwarded.set("x-forwarded-for", "127.0.0.1");
    return auth.handler(new Request(url, { ...init, headers: forwarded }));
  };
  return { tables, fetch };
}
