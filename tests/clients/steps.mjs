// How a driver goes through its steps, and how it says what it found.
//
// What always holds: a step is one line of output, the first check that fails ends the driver with a
// message, the last exchanges with the gateway and exit code 1, and a driver without steps fails.

import { writeSync } from "node:fs";
import { inspect, isDeepStrictEqual } from "node:util";

// Clients have the console.
const say = (line) => writeSync(1, `${line}\n`);

/** A check that failed. */
class Mismatch extends Error {}

/** Goes through `walk`, which is given `step(name, action)`, and ends the process. */
export async function journey(browser, walk) {
  let current = "the beginning";
  let taken = 0;
  const step = async (name, action) => {
    current = name;
    const result = await action();
    taken += 1;
    say(`ok  ${name}`);
    return result;
  };
  try {
    await walk(step);
    if (taken === 0) throw new Mismatch("nothing was done");
  } catch (error) {
    const why = error instanceof Mismatch ? error.message : inspect(error);
    say(`FAILED  ${current}\n${why}\n--- the last exchanges ---\n${browser.describe()}`);
    process.exit(1);
  }
  // Clients leave timers behind.
  process.exit(0);
}

/** A variable that tests/clients/main.rs sets for the driver. */
export function given(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; tests/clients/main.rs sets it`);
  return value;
}

export function equal(actual, expected, what) {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Mismatch(`${what} is ${inspect(actual, { depth: 6 })}, not ${inspect(expected, { depth: 6 })}`);
}

export function holds(condition, what) {
  if (!condition) throw new Mismatch(`not so: ${what}`);
}

/** Checks a value against a shape, whose members are predicates or shapes; more members are fine. */
export function shaped(value, shape, what) {
  if (typeof shape === "function") {
    if (!shape(value)) throw new Mismatch(`${what} is ${inspect(value)}, not ${shape.called}`);
  } else if (Array.isArray(shape)) {
    if (!Array.isArray(value)) throw new Mismatch(`${what} is ${inspect(value)}, not a list`);
    value.forEach((item, at) => shaped(item, shape[0], `${what}[${at}]`));
  } else {
    if (value === null || typeof value !== "object") throw new Mismatch(`${what} is ${inspect(value)}, not an object`);
    for (const [name, inner] of Object.entries(shape)) shaped(value[name], inner, `${what}.${name}`);
  }
  return value;
}

/** A predicate, and what it is called in a message. */
export const called = (name, predicate) => Object.assign((value) => predicate(value), { called: name });
const matching = (name, pattern) => called(name, (value) => typeof value === "string" && pattern.test(value));

export const text = called("a text", (value) => typeof value === "string");
export const filled = called("a text that is not empty", (value) => typeof value === "string" && value !== "");
export const count = called("a count", (value) => Number.isSafeInteger(value) && value >= 0);
export const flag = called("a boolean", (value) => typeof value === "boolean");
export const moment = matching("an ISO moment in UTC", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
export const uuid = matching("a UUID", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
export const base64 = matching("padded standard base64", /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/);
export const base64url = matching("unpadded base64url", /^[A-Za-z0-9_-]+$/);
export const exactly = (expected) => called(inspect(expected), (value) => value === expected);
export const oneOf = (...options) => called(`one of ${inspect(options)}`, (value) => options.includes(value));
export const optional = (inner) => called(`${inner.called}, or nothing`, (value) => value === undefined || inner(value));
export const nullable = (inner) => called(`${inner.called}, or null`, (value) => value === null || inner(value));
