// The way in for a user who has lost their passkey: a one-time code by mail.
//
// The server never tells whether an address has an account, so this page does not either.

import { text } from "./text.js";
import { call } from "./api.js";
import { busy, clear, complain, explain, isBusy, ready, show, tell } from "./message.js";

const byId = (id) => document.getElementById(id);
const [form, email, emailError, send, answer, code, codeError, useIt] =
  ["code-form", "code-email", "code-email-error", "code-send", "code-answer", "code", "code-error", "code-use"].map(byId);

let askedFor = "";

async function ask() {
  const address = email.value.trim();
  if (!address || !email.checkValidity()) return complain(email, emailError, text.emailNeeded);
  complain(email, emailError, "");
  clear();
  busy(send);
  try {
    await call("POST", "verify", { email: address });
    askedFor = address;
    answer.hidden = false;
    tell(text.codeSent(address));
    code.focus();
  } catch (error) {
    explain(error, { retry: { label: text.tryAgain, run: ask } });
  } finally {
    ready(send);
    if (askedFor) send.textContent = text.sendAgain;
  }
}

async function use(goOn) {
  if (!code.value.trim()) return complain(code, codeError, text.codeNeeded);
  complain(code, codeError, "");
  clear();
  busy(useIt);
  try {
    const body = { method: "otp", email: askedFor, token: code.value.trim() };
    const current = await call("POST", "sessions", body);
    // A code alone may only lead to a new passkey.
    if (current.enrolling) location.assign(form.dataset.enroll);
    else goOn();
  } catch (error) {
    ready(useIt);
    if (error.status === 401) show(text.codeRefused);
    else explain(error, { retry: { label: text.tryAgain, run: () => use(goOn) } });
  }
}

/** Makes the form work, where the page has one; `goOn` is called when the user is signed in. */
export function offerCode(goOn) {
  if (!form) return;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isBusy(send) || isBusy(useIt)) return;
    // The Enter key asks for a code, or uses it once its field is shown.
    if (answer.hidden || event.submitter === send) ask();
    else use(goOn);
  });
}
