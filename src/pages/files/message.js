// Messages after an event: one live region a page, with the advice what to do next.

import { text } from "./text.js";

const byId = (id) => document.getElementById(id);
const [box, words, actions] = ["message", "message-text", "message-actions"].map(byId);

/** No user reads and dismisses a prompt faster than this; the browser refused by itself. */
const AT_ONCE_MS = 400;
const EXPIRED_CODES = ["ceremony_expired", "no_such_ceremony"];

let timer;

export function clear() {
  clearInterval(timer);
  box.hidden = true;
  words.replaceChildren();
  actions.replaceChildren();
}

function paragraph(content, className) {
  const p = document.createElement("p");
  p.textContent = content;
  if (className) p.className = className;
  return p;
}

function actionButton({ label, run }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = label;
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") run();
  });
  return button;
}

// The seconds run on the button, not in the message: a screen reader hears the wait once.
function countDown(seconds, button) {
  const label = button.textContent;
  const until = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    const over = left <= 0;
    button.textContent = over ? label : text.waitLeft(label, left);
    button.setAttribute("aria-disabled", String(!over));
    if (over) clearInterval(timer);
  };
  tick();
  timer = setInterval(tick, 1000);
}

/** Shows and announces `{title, body}`, with buttons for what to do next. */
export function show({ title, body, tone = "problem", next = [], waitS = 0 }) {
  clear();
  box.className = `message ${tone}`;
  box.hidden = false;
  const buttons = next.filter(Boolean).map(actionButton);
  actions.replaceChildren(...buttons);
  // A live region speaks when it changes while it is visible, so the words come last.
  requestAnimationFrame(() => words.replaceChildren(paragraph(title, "message-title"), paragraph(body)));
  if (waitS > 0 && buttons.length > 0) countDown(waitS, buttons[0]);
}

export const tell = (message) => show({ ...message, tone: "good" });

function ofBrowser(error, can) {
  const about = error.ceremony || {};
  switch (error.name) {
    case "AbortError":
      return null;
    case "NotAllowedError":
      return about.elapsedMs < AT_ONCE_MS
        ? { ...text.noPasskey, next: [can.retry && { ...can.retry, label: text.anotherDevice }, can.lost] }
        : { ...text.cancelled, next: [can.retry, can.email] };
    case "InvalidStateError":
      return { ...text.alreadyHere, next: [can.signIn] };
    case "SecurityError":
      return text.wrongAddress(about.rpId || document.body.dataset.rpId, location.origin);
    case "NotSupportedError":
    case "ConstraintError":
      return { ...text.cannotVerify, next: [can.retry && { ...can.retry, label: text.anotherDevice }] };
    default:
      return { ...text.unexpected(error.name || "Error"), next: [can.retry] };
  }
}

function ofServer(error, can) {
  if (error.status === 0) return { ...text.offline, next: [can.retry] };
  if (error.status === 429) {
    return { ...text.tooMany(error.retryAfterS), next: [can.retry], waitS: error.retryAfterS };
  }
  if (error.code === "network_banned") {
    return { ...text.networkBanned(error.waitS, error.request), next: [can.retry] };
  }
  if (error.status >= 500) {
    return { ...text.serverTrouble(error.status), next: [can.retry], waitS: error.retryAfterS };
  }
  if (error.code === "unknown_credential") {
    return { ...text.unknownCredential, next: [can.retry && { ...can.retry, label: text.anotherDevice }, can.lost] };
  }
  if (EXPIRED_CODES.includes(error.code) || error.status === 410) return { ...text.expired, next: [can.retry] };
  if (error.status === 401) return can.unauthenticated || { ...text.notAccepted, next: [can.retry] };
  return { ...text.refused(error.detail || error.message), next: [can.retry] };
}

/** Says in words what went wrong; `can` names the ways on that this page offers. */
export function explain(error, can = {}) {
  const message = error.name === "Problem" ? ofServer(error, can) : ofBrowser(error, can);
  if (message) show(message);
}

const original = new WeakMap();

/** Marks a button as working, without taking the focus away from it. */
export function busy(button, label) {
  const span = button.querySelector("span") || button;
  original.set(button, span.textContent);
  if (label) span.textContent = label;
  button.setAttribute("aria-busy", "true");
  button.setAttribute("aria-disabled", "true");
}

export function ready(button) {
  const span = button.querySelector("span") || button;
  if (original.has(button)) span.textContent = original.get(button);
  button.removeAttribute("aria-busy");
  button.removeAttribute("aria-disabled");
}

export const isBusy = (button) => button.getAttribute("aria-busy") === "true";

/** Says at `place` what is wrong with `field`. Without `words` the field is right. */
export function complain(field, place, words) {
  place.textContent = words;
  field.setAttribute("aria-invalid", String(Boolean(words)));
  if (words) field.focus();
}

/** Copies `link`; resolves to the message for the user. */
export async function copyLink(link) {
  try {
    await navigator.clipboard.writeText(link);
    return text.copied;
  } catch {
    return text.copyThis(link);
  }
}
