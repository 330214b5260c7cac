// The page that takes a recovery back. The secret is in the fragment, which browsers do not send.

import { text } from "./text.js";
import { call } from "./api.js";
import { busy, clear, explain, isBusy, ready, show, tell } from "./message.js";

const button = document.getElementById("cancel-recovery");

async function cancel() {
  if (isBusy(button)) return;
  clear();
  busy(button);
  try {
    await call("POST", "recoveries/cancel", { token: location.hash.slice(1) });
    history.replaceState(null, "", location.pathname);
    button.hidden = true;
    tell(text.recoveryCancelled);
  } catch (error) {
    if (error.status === 410) show(text.recoveryGone);
    else explain(error, { retry: { label: text.tryAgain, run: cancel } });
  } finally {
    ready(button);
  }
}

button.addEventListener("click", cancel);
