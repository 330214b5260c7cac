// The official better-auth server in a process of its own, with its passkey plugin, its memory adapter and nothing
// else: what benches/sign_ins measures beside the gateway.
//
//   node better-auth-alone.mjs PORT

import { createServer } from "node:http";

import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { passkey } from "@better-auth/passkey";

const port = Number(process.argv[2]);
const origin = `http://localhost:${port}`;
const TABLES = ["user", "session", "account", "verification", "passkey"];

const auth = betterAuth({
  baseURL: origin,
  basePath: "/api/auth",
  secret: "a secret that protects nothing but this benchmark",
  database: memoryAdapter(Object.fromEntries(TABLES.map((name) => [name, []]))),
  emailAndPassword: { enabled: true },
  plugins: [passkey({ rpID: "localhost", rpName: "Bench", origin })],
  rateLimit: { enabled: false },
  logger: { disabled: true },
  telemetry: { enabled: false },
});

createServer(toNodeHandler(auth)).listen(port, "127.0.0.1");
