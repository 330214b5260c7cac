// Asks both servers the same, and holds what the answers come down to against each other.
//
// What always holds: a difference that is not listed fails, and so does a listed one that does not
// occur, so that the list stays true.

import { isDeepStrictEqual } from "node:util";

import { essence } from "./oracle-side.mjs";
import { equal } from "./steps.mjs";

const NOTHING = "nothing";

/** Every difference between two answers, as `key: [ours, theirs]`; not what follows from another. */
function differences(ours, theirs) {
  const keys = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  const differing = keys.filter((key) => kept(ours, key) !== kept(theirs, key));
  const follows = (key) => differing.some((other) => key.startsWith(`${other}.`) || key.startsWith(`${other}[]`));
  return Object.fromEntries(differing.filter((key) => !follows(key)).map((key) => [key, [kept(ours, key), kept(theirs, key)]]));
}

// `null` is a value that an answer can have.
const kept = (found, key) => (key in found ? found[key] : NOTHING);

/** What of this case is not listed; each entry that is met is ticked off in `occurred`. */
function unlisted(name, found, allowed, occurred) {
  const rest = { ...found };
  for (const entry of allowed) {
    if (entry.cases && !entry.cases.includes(name)) continue;
    for (const [key, pair] of Object.entries(entry.differs)) {
      if (!isDeepStrictEqual(found[key], pair)) continue;
      delete rest[key];
      occurred.add(mark(entry, key, name));
    }
  }
  return rest;
}

// Entries for particular cases have to occur in every one of them, the others somewhere.
const mark = (entry, key, name) => `${key}: ${entry.differs[key].join(" instead of ")}${entry.cases ? `, in "${name}"` : ""}`;

/** Goes through `cases`, pairs of a name and what leads to the answer to compare. */
export async function compare(step, cases, [gateway, oracle], allowed) {
  const occurred = new Set();
  for (const [name, ask] of cases) {
    await step(name, async () => {
      const [ours, theirs] = [await essence(await ask(gateway)), await essence(await ask(oracle))];
      const found = differences(ours, theirs);
      equal(unlisted(name, found, allowed, occurred), {}, "what differs (the gateway first, then better-auth) and is not listed");
    });
  }
  await step("every listed difference occurs", () => {
    const all = allowed.flatMap((entry) =>
      Object.keys(entry.differs).flatMap((key) => (entry.cases ?? [""]).map((name) => mark(entry, key, name))),
    );
    equal(all.filter((it) => !occurred.has(it)), [], "what is listed and does not occur");
  });
}
