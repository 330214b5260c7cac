// The way in for a user who has lost every passkey and has printed recovery codes.

import { text } from "./text.js";
import { call } from "./api.js";
import { busy, clear, complain, explain, isBusy, ready, show } from "./message.js";

const byId = (id) => document.getElementById(id);
const [form, who, whoError, code, codeError, button] =
  ["printed-form", "printed-who", "printed-who-error", "printed-code", "printed-code-error", "printed-use"].map(byId);

async function use() {
  const [identifier, typed] = [who.value.trim(), code.value.trim()];
  complain(who, whoError, identifier ? "" : text.whoNeeded);
  complain(code, codeError, typed ? "" : text.printedNeeded);
  if (!identifier || !typed) return (identifier ? code : who).focus();
  clear();
  busy(button);
  try {
    await call("POST", "recovery-codes/redeem", { identifier, code: typed });
    location.assign(form.dataset.enroll);
  } catch (error) {
    ready(button);
    if (error.status === 401) show(text.printedRefused);
    else explain(error, { retry: { label: text.tryAgain, run: use } });
  }
}

/** Makes the form work. */
export function offerPrinted() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!isBusy(button)) use();
  });
}
