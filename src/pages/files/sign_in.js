// The sign-in page: autofill while it waits, one button, and the e-mail way. Codes for users who
// have lost their passkey are in code.js.
//
// This script never chooses where to go. When the server accepted a passkey, the page asks the
// server for itself again, and the server sends the browser on.

import { text } from "./text.js";
import { call } from "./api.js";
import { assert, beginAssertion, cookiesBlocked, explainIfUnsupported, finishAssertion } from "./passkey.js";
import { offerCode } from "./code.js";
import { offerPrinted } from "./printed.js";
import { busy, clear, copyLink, explain, isBusy, ready, show } from "./message.js";

/** Challenges live for five minutes; autofill gets a new one a little earlier. */
const RENEW_AFTER_MS = 270_000;
const ABORT_PATIENCE_MS = 500;

const byId = (id) => document.getElementById(id);
const [button, form, field, proceed, useEmail, lost, problem] =
  ["passkey", "email-form", "email", "continue", "use-email", "lost", "email-error"].map(byId);

/** Whether the user wants to stay signed in here. */
const stay = () => ({ keepSignedIn: byId("keep").checked });

const goOn = () => location.replace(byId("page").dataset.done);

let autofill = { controller: new AbortController(), over: Promise.resolve() };
let renewal;

async function offerAutofill(signal) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) {
    // Without autofill there is no list of passkeys; the field is for an address only.
    openEmail();
    return;
  }
  const options = await beginAssertion();
  if (signal.aborted) return;
  renewal = setTimeout(arm, RENEW_AFTER_MS);
  const credential = await assert(options, { mediation: "conditional", signal });
  clear();
  busy(button, text.waiting);
  try {
    await finishAssertion(credential, options.rpId, stay());
    goOn();
  } catch (error) {
    ready(button);
    explain(error, ways);
    if (error.status === 401 || error.status === 410) arm();
  }
}

/** Begins autofill, or begins it again with a new challenge. */
async function arm() {
  await disarm();
  const controller = new AbortController();
  // The user has asked for nothing yet, so a refusal by browser or server needs no message, unless
  // the network is banned, where every way in would be refused.
  const over = offerAutofill(controller.signal).catch((error) => {
    if (error.code === "network_banned") explain(error, ways);
  });
  autofill = { controller, over };
}

/** Ends autofill, and waits until the browser has let go of it. */
async function disarm() {
  clearTimeout(renewal);
  autofill.controller.abort();
  await Promise.race([autofill.over, new Promise((resolve) => setTimeout(resolve, ABORT_PATIENCE_MS))]);
}

async function signIn(pressed, email) {
  if (cookiesBlocked()) return show(text.noCookies);
  if (isBusy(button) || isBusy(proceed)) return;
  clear();
  busy(pressed, text.waiting);
  try {
    await disarm();
    const options = await beginAssertion(email);
    await finishAssertion(await assert(options), options.rpId, stay());
    goOn();
  } catch (error) {
    ready(pressed);
    explain(error, ways);
    if (error.status !== 0 && error.status !== 429 && error.code !== "network_banned") arm();
  }
}

function openEmail() {
  byId("email-label").textContent = text.yourEmail;
  proceed.hidden = false;
  useEmail.hidden = true;
  useEmail.setAttribute("aria-expanded", "true");
}

function focusEmail() {
  openEmail();
  field.focus();
}

const ways = {
  retry: { label: text.tryAgain, run: () => signIn(button) },
  email: { label: text.useEmail, run: focusEmail },
  lost: {
    label: text.lostPasskey,
    run: () => {
      lost.open = true;
      lost.querySelector("summary").focus();
    },
  },
};

function complain(words) {
  problem.textContent = words;
  field.setAttribute("aria-invalid", String(Boolean(words)));
}

function submitEmail(event) {
  event.preventDefault();
  openEmail();
  const email = field.value.trim();
  if (!email || !field.checkValidity()) {
    complain(text.emailNeeded);
    field.focus();
    return;
  }
  complain("");
  signIn(proceed, email);
}

// The user may have signed in through another tab, whose challenge cookie has replaced ours.
async function comeBack() {
  if (document.visibilityState !== "visible" || isBusy(button) || isBusy(proceed)) return;
  const current = await call("GET", "sessions/current").catch(() => undefined);
  if (current?.user && !current.enrolling) goOn();
  else if (!isBusy(button) && !isBusy(proceed)) arm();
}

if (!explainIfUnsupported(copyLink)) {
  button.addEventListener("click", () => signIn(button));
  form.addEventListener("submit", submitEmail);
  field.addEventListener("input", () => (openEmail(), complain("")), { passive: true });
  useEmail.addEventListener("click", focusEmail);
  offerCode(goOn);
  offerPrinted();
  document.addEventListener("visibilitychange", comeBack);
  addEventListener("online", () => (clear(), comeBack()));
  if (cookiesBlocked()) show(text.noCookies);
  else arm();
}
