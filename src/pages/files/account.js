// The account page: passkeys and sessions. The server has rendered both lists; this keeps them
// true while they are changed, and says aloud what has changed.

import { text } from "./text.js";
import { attributesOf, call } from "./api.js";
import { register, signal, supported, withFreshPasskey } from "./passkey.js";
import { makeCodes } from "./codes.js";
import { newToken, prepareTokens, revokeToken } from "./tokens.js";
import { addDevice } from "./device_link.js";
import { confirm } from "./dialog.js";
import { signOutOf } from "./sign_out.js";
import { tellTime, tellTimes } from "./moments.js";
import { busy, clear, explain, isBusy, ready, show, tell } from "./message.js";

const byId = (id) => document.getElementById(id);
const [page, passkeys, sessions] = ["page", "passkeys", "sessions"].map(byId);
const part = (row, name) => row.querySelector(`[data-part="${name}"]`);
const nameOf = (row) => part(row, "name").textContent;

const ways = {
  unauthenticated: { ...text.signedOut, next: [{ label: text.signIn, run: () => location.reload() }] },
};

function recount() {
  byId("passkeys-count").textContent = passkeys.children.length;
  byId("sessions-count").textContent = sessions.children.length;
  document.querySelector('[data-action="end-others"]').hidden = sessions.children.length < 2;
}

// Keeps the browser's passkey store in step with ours (WebAuthn Level 3, section 5.1.10).
function signalAccepted() {
  const { userHandle: userId, email: name, name: displayName } = page.dataset;
  const { rpId } = document.body.dataset;
  const allAcceptedCredentialIds = [...passkeys.children].map((row) => row.dataset.id);
  signal("signalAllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds });
  signal("signalCurrentUserDetails", { rpId, userId, name, displayName });
}

function nameRow(row, name) {
  for (const element of row.querySelectorAll('[data-part="name"]')) element.textContent = name;
}

function addRow(passkey) {
  const row = byId("passkey-row").content.cloneNode(true).firstElementChild;
  row.dataset.id = passkey.id;
  row.classList.add("fresh");
  nameRow(row, passkey.name);
  const authenticator = passkey.authenticator || text.passkey;
  part(row, "letter").textContent = [...authenticator][0].toUpperCase();
  part(row, "authenticator").textContent = authenticator === passkey.name ? "" : authenticator;
  part(row, "backup").textContent =
    passkey.backedUp ? text.synced : passkey.deviceType === "multiDevice" ? text.maySync : text.deviceBound;
  part(row, "created").dateTime = passkey.createdAt;
  part(row, "used").textContent = text.notUsedYet;
  tellTime(part(row, "created"));
  passkeys.append(row);
  return row;
}

function welcomeRow(passkey) {
  const row = addRow(passkey);
  byId("welcome")?.remove();
  recount();
  signalAccepted();
  tell(text.added(passkey.name));
  return row;
}

async function add(button) {
  if (!supported()) return show(text.unexpected("WebAuthn"));
  busy(button, text.waiting);
  try {
    startRename(welcomeRow(await withFreshPasskey(() => register())));
  } catch (error) {
    explain(error, { ...ways, retry: { label: text.tryAgain, run: () => add(button) } });
  } finally {
    ready(button);
  }
}

function startRename(row) {
  const form = row.querySelector("form");
  form.hidden = false;
  form.elements.name.value = nameOf(row);
  form.elements.name.select();
  form.elements.name.focus();
}

function stopRename(row) {
  row.querySelector("form").hidden = true;
  row.querySelector('[data-action="rename"]').focus();
}

async function rename(row, name) {
  if (!name) return show(text.nameNeeded);
  await change(row, async () => {
    const passkey = await call("PATCH", `passkeys/${encodeURIComponent(row.dataset.id)}`, { name });
    nameRow(row, passkey?.name ?? name);
    stopRename(row);
    tell(text.renamed(nameOf(row)));
  });
}

async function remove(row) {
  if (passkeys.children.length === 1) return show(text.lastPasskey);
  if (!(await confirm({ title: text.removeTitle(nameOf(row)), body: text.removeBody, yes: text.removeYes }))) return;
  await change(row, async () => {
    await call("DELETE", `passkeys/${encodeURIComponent(row.dataset.id)}`);
    takeAway(row, "passkeys-title");
    signalAccepted();
    tell(text.removed(nameOf(row)));
  });
}

async function end(row) {
  await change(row, async () => {
    await call("DELETE", `sessions/${encodeURIComponent(row.dataset.id)}`);
    takeAway(row, "sessions-title");
    tell(text.ended(nameOf(row)));
  });
}

async function endOthers(button) {
  if (!(await confirm({ title: text.endOthersTitle, body: text.endOthersBody, yes: text.endOthersYes }))) return;
  busy(button);
  try {
    await withFreshPasskey(() => call("DELETE", "sessions/others"));
    for (const row of [...sessions.children]) if (row.querySelector('[data-action="end"]')) row.remove();
    recount();
    byId("sessions-title").focus();
    tell(text.endedOthers);
  } catch (error) {
    explain(error, ways);
  } finally {
    ready(button);
  }
}

/** Makes one change to one row, with a fresh passkey where the server asks for it. */
async function change(row, request) {
  if (row.classList.contains("busy")) return;
  row.classList.add("busy");
  try {
    await withFreshPasskey(request);
  } catch (error) {
    if (error.status === 409) show(text.lastPasskey);
    else explain(error, ways);
  } finally {
    row.classList.remove("busy");
  }
}

// The focus must not go to the top of the page when the row that had it is gone.
function takeAway(row, headingId) {
  const neighbour = row.nextElementSibling || row.previousElementSibling;
  row.remove();
  recount();
  (neighbour?.querySelector(".row-actions button") || byId(headingId)).focus();
}

// The page suggests a second passkey until the user declines; storage may be blocked.
const DISMISSED = "vestibule-second-passkey";

function suggest() {
  let dismissed;
  try {
    dismissed = localStorage.getItem(DISMISSED);
  } catch { /* Then it is made again. */ }
  const suggestion = byId("welcome");
  if (suggestion) suggestion.hidden = Boolean(dismissed);
}

function dismissWelcome() {
  byId("welcome")?.remove();
  try {
    localStorage.setItem(DISMISSED, "no");
  } catch { /* Then it is made again. */ }
}

async function saveProfile(event) {
  event.preventDefault();
  const { name, username } = event.target.elements;
  const button = event.submitter;
  const body = { name: name.value.trim(), ...(username ? { username: username.value.trim() } : {}) };
  const attributes = attributesOf(event.target);
  if (attributes) body.attributes = attributes;
  clear();
  busy(button);
  try {
    const user = await withFreshPasskey(() => call("PATCH", "account", body));
    byId("name-shown").textContent = user.name;
    page.dataset.name = user.name;
    byId("profile-edit").open = false;
    signalAccepted();
    tell(text.profileSaved);
  } catch (error) {
    explain(error, ways);
  } finally {
    ready(button);
  }
}

async function changeAddress(event) {
  event.preventDefault();
  const [address, answer, code, use] = ["new-address", "address-answer", "address-code", "address-use"].map(byId);
  const email = address.value.trim();
  const button = event.submitter ?? (answer.hidden ? byId("address-send") : use);
  clear();
  busy(button);
  try {
    if (button.id === "address-send") {
      await withFreshPasskey(() => call("POST", "account/address", { email }));
      answer.hidden = use.hidden = false;
      tell(text.addressCodeSent(email));
      code.focus();
    } else {
      const user = await call("POST", "account/address/confirm", { email, code: code.value.trim() });
      byId("email-shown").textContent = user.email;
      page.dataset.email = user.email;
      byId("address-edit").open = false;
      signalAccepted();
      tell(text.addressChanged(user.email));
    }
  } catch (error) {
    if (error.status === 401 && error.code === "token_invalid") show(text.codeRefused);
    else explain(error, ways);
  } finally {
    ready(button);
  }
}

async function cancelRecovery(button) {
  const notice = button.closest("[data-recovery]");
  busy(button);
  try {
    await withFreshPasskey(() => call("DELETE", `recoveries/${notice.dataset.recovery}`));
    notice.remove();
    tell(text.recoveryCancelled);
  } catch (error) {
    explain(error, ways);
  } finally {
    ready(button);
  }
}

async function deleteAccount(button) {
  if (!(await confirm({ title: text.deleteTitle, body: text.deleteBody, yes: text.deleteYes }))) return;
  busy(button);
  try {
    await withFreshPasskey(() => call("DELETE", "account"));
    location.replace(page.dataset.signedOut);
  } catch (error) {
    ready(button);
    explain(error, ways);
  }
}

async function signOut(event) {
  event.preventDefault();
  try {
    await signOutOf(page.dataset.applications);
    await call("DELETE", "sessions/");
    location.replace(page.dataset.signedOut);
  } catch (error) {
    explain(error, ways);
  }
}

const ACTIONS = {
  add: (button) => add(button),
  "add-device": (button) => addDevice(button, ways, [...passkeys.children].map((row) => row.dataset.id), welcomeRow),
  dismiss: () => (dismissWelcome(), byId("passkeys-title").focus()),
  rename: (_, row) => startRename(row),
  "cancel-rename": (_, row) => stopRename(row),
  remove: (_, row) => remove(row),
  end: (_, row) => end(row),
  "end-others": (button) => endOthers(button),
  "cancel-recovery": (button) => cancelRecovery(button),
  "make-codes": (button) => makeCodes(button, ways),
  "new-token": () => newToken(),
  "revoke-token": (_, row) => revokeToken(row, ways),
  "delete-account": (button) => deleteAccount(button),
};

page.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (!button || isBusy(button)) return;
  clear();
  ACTIONS[button.dataset.action](button, button.closest(".row"));
});
page.addEventListener("submit", (event) => {
  if (!event.target.matches(".rename")) return;
  event.preventDefault();
  rename(event.target.closest(".row"), event.target.elements.name.value.trim());
});
page.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.closest(".rename")) stopRename(event.target.closest(".row"));
});
byId("sign-out").addEventListener("submit", signOut);
byId("profile-form").addEventListener("submit", saveProfile);
byId("address-form")?.addEventListener("submit", changeAddress);
prepareTokens(ways);
tellTimes();
suggest();
signalAccepted();
