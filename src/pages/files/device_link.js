// Another device, on the account page of the first one: a code to scan or to type, the device that
// has brought it, and the confirmation or refusal.

import { text } from "./text.js";
import { call } from "./api.js";
import { withFreshPasskey } from "./passkey.js";
import { busy, explain, isBusy, ready } from "./message.js";

const byId = (id) => document.getElementById(id);
const [sheet, offered, qr, code, asking, browser, network, number, confirmed, failed, refuse, confirm, cancel] =
  ["device", "device-offered", "device-qr", "device-code", "device-asking", "device-browser", "device-network",
    "device-number", "device-confirmed", "device-error", "device-refuse", "device-confirm", "device-cancel"].map(byId);

// How long the other device may take for its passkey, once it has been confirmed.
const ENROL_MS = 300_000;

let timer;
let stage = "";
let seen = 0;

// The picture is drawn by our own server; it has paths and nothing else.
function draw(svg) {
  const picture = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  qr.replaceChildren(document.importNode(picture, true));
}

function stand(now, link = {}) {
  if (now === stage) return;
  stage = now;
  offered.hidden = now !== "offered";
  asking.hidden = refuse.hidden = confirm.hidden = now !== "asking";
  confirmed.hidden = now !== "confirmed";
  cancel.hidden = now === "asking";
  cancel.textContent = now === "offered" ? text.cancel : text.close;
  if (now === "asking") {
    browser.textContent = link.browser;
    network.textContent = link.network ?? text.unknownNetwork;
    number.textContent = seen = link.number;
  }
}

function over(message) {
  stand("over");
  failed.textContent = message;
}

async function look(known) {
  if (stage === "confirmed") {
    const passkeys = await call("GET", "passkeys");
    return passkeys.find((passkey) => !known.has(passkey.id));
  }
  const link = await call("GET", "account/device-link");
  stand(link.stage, link);
}

/** Asks for the state of the code, until there is a passkey, the dialog is closed, or time is up. */
function follow(offer, known, added) {
  timer = setTimeout(async () => {
    if (Date.now() >= Date.parse(offer.expiresAt) && stage !== "confirmed") return over(text.deviceLate);
    try {
      const passkey = await look(known);
      if (passkey) return (sheet.close(), added(passkey));
    } catch (error) {
      if (error.status === 404) return over(text.deviceLate);
      if (error.status === 401) return over(text.signedOut.title);
      // Any other failure may pass; the code ends by itself.
    }
    if (sheet.open && Date.now() < Date.parse(offer.expiresAt) + ENROL_MS) follow(offer, known, added);
  }, offer.interval * 1000);
}

/** Shows a code; `known` are the ids of all passkeys, `added` is called with the new passkey. */
export async function addDevice(button, ways, known, added) {
  busy(button);
  try {
    const offer = await withFreshPasskey(() => call("POST", "account/device-link"));
    draw(offer.qr);
    qr.dataset.link = offer.link;
    code.textContent = `${offer.code.slice(0, 4)}-${offer.code.slice(4)}`;
    failed.textContent = "";
    stand("offered");
    sheet.showModal();
    follow(offer, new Set(known), added);
  } catch (error) {
    explain(error, ways);
  } finally {
    ready(button);
  }
}

confirm.addEventListener("click", async () => {
  if (isBusy(confirm)) return;
  failed.textContent = "";
  busy(confirm);
  try {
    await call("POST", "account/device-link/confirm", { number: seen });
    stand("confirmed");
    cancel.focus();
  } catch (error) {
    if (error.status === 404) over(text.deviceLate);
    else failed.textContent = error.detail || text.offline.body;
  } finally {
    ready(confirm);
  }
});

sheet.addEventListener("close", async () => {
  clearTimeout(timer);
  // A code that was shown is nowhere in the page afterwards.
  qr.replaceChildren();
  delete qr.dataset.link;
  code.textContent = "";
  const ended = stage === "confirmed" || stage === "over";
  stage = "";
  if (!ended) await call("DELETE", "account/device-link").catch(() => {});
});
