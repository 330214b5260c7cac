// The sign-up page: a code to the address, and an account with it. The first passkey is made on the
// enrolment page. The server never tells whether an address has an account.

import { text } from "./text.js";
import { call } from "./api.js";
import { cookiesBlocked, explainIfUnsupported } from "./passkey.js";
import { busy, clear, complain, copyLink, explain, isBusy, ready, show, tell } from "./message.js";

const byId = (id) => document.getElementById(id);
const [page, form, email, emailError, second, code, codeError, name, send, confirm] =
  ["page", "sign-up", "email", "email-error", "second", "code", "code-error", "name", "send", "confirm"].map(byId);

async function ask() {
  const address = email.value.trim();
  if (!address || !email.checkValidity()) return complain(email, emailError, text.emailNeeded);
  complain(email, emailError, "");
  busy(send);
  try {
    await call("POST", "signup", { email: address });
    second.hidden = false;
    send.classList.remove("primary");
    tell(text.signUpSent(address));
    code.focus();
  } catch (error) {
    explain(error, { retry: { label: text.tryAgain, run: ask } });
  } finally {
    ready(send);
    if (!second.hidden) send.textContent = text.sendAgain;
  }
}

async function use() {
  if (!code.value.trim()) return complain(code, codeError, text.codeNeeded);
  complain(code, codeError, "");
  busy(confirm);
  try {
    await call("POST", "signup/confirm", { email: email.value.trim(), code: code.value.trim(), name: name.value.trim() });
    location.assign(page.dataset.enroll);
  } catch (error) {
    ready(confirm);
    if (error.status === 401) show(text.codeRefused);
    else explain(error, { retry: { label: text.tryAgain, run: use } });
  }
}

if (!explainIfUnsupported(copyLink)) {
  if (cookiesBlocked()) show(text.noCookies);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isBusy(send) || isBusy(confirm)) return;
    clear();
    // The Enter key asks for a code, or uses it once its field is shown.
    if (second.hidden || event.submitter === send) ask();
    else use();
  });
}
