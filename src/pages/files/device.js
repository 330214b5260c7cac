// The page of a new device: brings the code, shows a number, and waits until the signed-in device
// has confirmed it. The passkey is made on the enrolment page.
//
// The code comes in the fragment, which browsers do not send, or is typed. It is used up only when
// the user presses the button.

import { text } from "./text.js";
import { call } from "./api.js";
import { cookiesBlocked, explainIfUnsupported } from "./passkey.js";
import { busy, clear, complain, copyLink, explain, isBusy, ready, show } from "./message.js";

const byId = (id) => document.getElementById(id);
const [page, form, code, codeError, ask, waiting, number, title] =
  ["page", "bring", "code", "code-error", "ask", "waiting", "number", "title"].map(byId);

// Phones unload pages in the background; this page then goes on waiting. Storage may be blocked.
const ASKING = "vestibule-device-asking";
const storage = (run) => {
  try {
    return run(sessionStorage);
  } catch {
    return null;
  }
};

function startOver(message) {
  storage((kept) => kept.removeItem(ASKING));
  waiting.hidden = true;
  form.hidden = false;
  code.value = "";
  if (message) show(message);
}

function wait(asking) {
  storage((kept) => kept.setItem(ASKING, "yes"));
  number.textContent = asking.number;
  form.hidden = true;
  waiting.hidden = false;
  setTimeout(() => follow(asking), asking.interval * 1000);
}

/** Asks for the other device's answer, until there is one or time is up. */
async function follow(asking) {
  if (Date.now() >= Date.parse(asking.expiresAt)) return startOver(text.deviceOver);
  let answer;
  try {
    answer = await call("POST", "device-links/join");
  } catch (error) {
    if (error.status === 410) return startOver(text.deviceOver);
    if (error.status !== 0 && error.status !== 429 && error.status < 500) return explain(error);
    // The network of a phone comes and goes; the link has an end by itself.
    answer = asking;
  }
  if (!("enrolling" in answer)) return wait(answer);
  storage((kept) => kept.removeItem(ASKING));
  location.assign(page.dataset.enroll);
}

async function bring(event) {
  event.preventDefault();
  if (isBusy(ask)) return;
  clear();
  if (!code.value.trim()) return complain(code, codeError, text.deviceCodeNeeded);
  complain(code, codeError, "");
  busy(ask);
  try {
    const asking = await call("POST", "device-links/ask", { code: code.value.trim() });
    history.replaceState(null, "", location.pathname);
    wait(asking);
    title.focus();
  } catch (error) {
    if (error.status === 401) show(text.deviceCodeRefused);
    else explain(error, { retry: { label: text.tryAgain, run: () => form.requestSubmit() } });
  } finally {
    ready(ask);
  }
}

function begin() {
  if (cookiesBlocked()) return show(text.noCookies);
  code.value = location.hash.slice(1);
  form.addEventListener("submit", bring);
  addEventListener("hashchange", () => location.reload());
  if (!code.value && storage((kept) => kept.getItem(ASKING))) {
    follow({ interval: 2, expiresAt: new Date(Date.now() + 60_000).toISOString(), number: "" });
  }
}

if (!explainIfUnsupported(copyLink)) begin();
