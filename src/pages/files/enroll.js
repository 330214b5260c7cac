// The enrolment page: shows what an invitation is for, redeems it, and creates the first passkey.
//
// The secret is in the fragment, which browsers do not send; it leaves this page only in the body
// of a request to our own server, and leaves the address as soon as it is used up.

import { moment, text } from "./text.js";
import { call } from "./api.js";
import { cookiesBlocked, explainIfUnsupported, register } from "./passkey.js";
import { busy, clear, copyLink, explain, isBusy, ready, show, tell } from "./message.js";

const byId = (id) => document.getElementById(id);
const [page, title, lead, form, emailShown, emailValue, emailAsked, email, emailError, nameAsked, name, create, ask] =
  ["page", "title", "lead", "enroll-form", "email-shown", "email-value", "email-asked", "email", "email-error",
    "name-asked", "name", "create", "ask"].map(byId);

const secret = location.hash.slice(1);
let redeemed = false;
let kind = "invitation";

const ways = {
  retry: { label: text.tryAgain, run: () => form.requestSubmit() },
  signIn: { label: text.signInInstead, run: () => location.assign(page.dataset.signIn) },
};

function refuse(heading, words) {
  title.textContent = heading;
  lead.textContent = words;
  form.hidden = true;
  ask.hidden = false;
}

function showInvitation(invitation) {
  kind = invitation.kind;
  const { organisation } = page.dataset;
  const setUp = kind === "setup";
  title.textContent = setUp ? text.setUpTitle(organisation) : text.joinTitle;
  lead.textContent = setUp
    ? text.setUpLead
    : invitation.invitedBy ? text.invitedBy(invitation.invitedBy, organisation) : text.invited(organisation);
  emailAsked.hidden = !setUp;
  emailShown.hidden = setUp || !invitation.email;
  emailValue.textContent = invitation.email || "";
  if (setUp) email.value = invitation.email || "";
  name.value = invitation.name || "";
  form.hidden = false;
}

// After a reload between redeeming the link and making the passkey, the server still knows the user.
// A user who had an account before has no such enrolment to continue.
function continueOr(heading, words) {
  const { unfinished } = page.dataset;
  if (!unfinished) {
    refuse(heading, words);
    return;
  }
  redeemed = true;
  title.textContent = text.continueTitle;
  lead.textContent = text.continueLead(unfinished);
  nameAsked.hidden = true;
  form.hidden = false;
}

async function preview() {
  clear();
  if (cookiesBlocked()) {
    // Nothing is lost yet: the link is used up only when the user presses the button.
    lead.textContent = "";
    show(text.noCookies);
    return;
  }
  if (!secret) {
    continueOr(text.linkMissingTitle, text.linkMissing);
    return;
  }
  try {
    showInvitation(await call("POST", "invitations/preview", { token: secret }));
  } catch (error) {
    const passing = error.status === 0 || error.status === 429 || error.status >= 500 || error.code === "network_banned";
    if (!passing) return continueOr(text.linkGoneTitle, text.linkGone);
    lead.textContent = "";
    explain(error, { retry: { label: text.tryAgain, run: preview } });
  }
}

function complain(words) {
  emailError.textContent = words;
  email.setAttribute("aria-invalid", String(Boolean(words)));
}

async function redeem() {
  if (redeemed) return;
  const body = { token: secret };
  if (name.value.trim()) body.name = name.value.trim();
  if (kind === "setup") body.email = email.value.trim();
  await call("POST", "invitations/redeem", body);
  redeemed = true;
  // The secret has done its work; keep it out of the history and of shoulder-surfers' photographs.
  history.replaceState(null, "", location.pathname);
}

async function submit(event) {
  event.preventDefault();
  if (isBusy(create)) return;
  if (!redeemed && kind === "setup" && (!email.value.trim() || !email.checkValidity())) {
    complain(text.emailNeeded);
    email.focus();
    return;
  }
  complain("");
  clear();
  busy(create, text.waiting);
  try {
    await redeem();
    const passkey = await register();
    if (passkey.worksFrom) {
      form.hidden = true;
      return tell(text.worksLater(moment(passkey.worksFrom)));
    }
    location.replace(page.dataset.done);
  } catch (error) {
    ready(create);
    if (!redeemed && (error.status === 404 || error.status === 410)) refuse(text.linkGoneTitle, text.linkGone);
    else if (redeemed && error.status === 401) show({ ...text.signedOut, next: [ways.signIn] });
    else explain(error, ways);
  }
}

if (!explainIfUnsupported(copyLink)) {
  form.addEventListener("submit", submit);
  addEventListener("hashchange", () => location.reload());
  preview();
}
