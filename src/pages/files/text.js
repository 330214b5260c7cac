// Every sentence that a script shows. The server's sentences are in src/pages/text.rs.

export const language = document.documentElement.lang || "en";

/** How days and moments are written: as the server and the mails do, "27 November 2026 at 14:03". */
export const dates = language === "en" ? "en-GB" : language;
export const moment = (at) => new Date(at).toLocaleString(dates, { dateStyle: "long", timeStyle: "short" });

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export const text = {
  waiting: "Waiting for your passkey…",

  // What went wrong while a passkey was asked for.
  cancelled: {
    title: "The passkey was not used",
    body: "The request was cancelled or took too long. Please try again.",
  },
  noPasskey: {
    title: "No passkey for this site on this device",
    body: "Use another device that has one: your browser can show a QR code to scan with a phone.",
  },
  alreadyHere: {
    title: "This device already has a passkey here",
    body: "There is no need for a second one on the same device.",
  },
  wrongAddress: (rpId, origin) => ({
    title: "This address is not set up for passkeys",
    body: `The administrator must fix one of two values: the relying party ID is “${rpId}”, but this page was opened at “${origin}”.`,
  }),
  cannotVerify: {
    title: "This authenticator cannot verify you",
    body: "It needs a PIN, a fingerprint or your face. Set one up in its settings, or use another device.",
  },
  unknownCredential: {
    title: "This passkey was removed here",
    body: "Your browser has been told to forget it. Please use another passkey.",
  },
  notAccepted: {
    title: "This passkey was not accepted",
    body: "Try again, or use another passkey.",
  },
  expired: {
    title: "The request has expired",
    body: "Please press the button again.",
  },
  unexpected: (name) => ({
    title: "That did not work",
    body: `The browser answered “${name}”. Try again, or use another browser or device.`,
  }),

  noCookies: {
    title: "Cookies are blocked",
    body: "Signing in needs one cookie of this site. Allow cookies for it in your browser’s settings, then reload the page.",
  },

  // What went wrong on the way to the server.
  offline: {
    title: "No connection",
    body: "The server cannot be reached. Check your network; then try again.",
  },
  serverTrouble: (status) => ({
    title: "The server has a problem",
    body: `It answered with error ${status}. This is not your fault; try again in a moment.`,
  }),
  tooMany: (seconds) => ({
    title: "Too many attempts",
    body: `Please wait ${count(seconds, "second", "seconds")}, then try again.`,
  }),
  networkBanned: (seconds, request) => ({
    title: "You cannot sign in from this network at the moment",
    body: [
      "The network is banned, perhaps because of another person who uses it.",
      seconds > 0 ? `This ends on ${moment(Date.now() + seconds * 1000)}.` : "",
      `Use another network, or ask the administrator and quote request ${request}.`,
    ].filter(Boolean).join(" "),
  }),
  waitLeft: (label, seconds) => `${label} (${seconds} s)`,
  refused: (said) => ({ title: "That was refused", body: said }),
  signedOut: { title: "You are signed out", body: "Sign in again to continue." },

  // What to do next.
  tryAgain: "Try again",
  useEmail: "Use my e-mail address",
  anotherDevice: "Use another device",
  lostPasskey: "Lost your passkey?",
  signInInstead: "Sign in instead",
  signIn: "Sign in",
  copied: "The link is copied. Paste it into another browser.",
  copyThis: (link) => `Copy this address into another browser: ${link}`,
  yourEmail: "Your e-mail address",
  emailNeeded: "Please enter your e-mail address, like name@example.com.",

  // A code by mail.
  sendAgain: "Send another code",
  codeSent: (email) => ({
    title: "Check your e-mail",
    body: `If ${email} has an account here, a code is on its way. It works in this browser, for ten minutes.`,
  }),
  signUpSent: (email) => ({
    title: "Check your e-mail",
    body: `If ${email} has no account here yet, a code is on its way. No message? You may have an account: sign in instead.`,
  }),
  codeNeeded: "Please enter the eight characters from the message.",
  codeRefused: {
    title: "This code does not work",
    body: "It is mistyped, already used, or too old. After five tries you need a new code.",
  },

  // Enrolment.
  setUpTitle: (organisation) => `Set up ${organisation}`,
  setUpLead: "You are the first user. This account will be the administrator.",
  invitedBy: (who, organisation) => `You are invited to ${organisation} by ${who}.`,
  invited: (organisation) => `You are invited to ${organisation}.`,
  joinTitle: "Welcome",
  linkGoneTitle: "This link does not work any more",
  linkGone: "It has expired, or it has been used already. Each link works once.",
  linkMissingTitle: "This link is incomplete",
  linkMissing: "The last part of the address is missing. Open the whole link from your invitation.",
  continueTitle: "One step left",
  continueLead: (email) => `You are signed in as ${email}. Create a passkey for this account now.`,

  worksLater: (when) => ({
    title: "Your passkey is made",
    body: `It works from ${when} on. Until then it can be cancelled with the message that was sent to you.`,
  }),
  whoNeeded: "Please enter your e-mail address or username.",
  printedNeeded: "Please enter one of the codes that you printed.",
  printedRefused: {
    title: "This code does not work",
    body: "It is mistyped, already used, or of another account. Each code works once.",
  },
  recoveryCancelled: { title: "Cancelled", body: "The sessions have ended and the new passkey is removed. Check your passkeys after your next sign-in." },
  recoveryGone: { title: "There is nothing to cancel", body: "This link was already used, or is too old." },

  // The account page.
  codesTitle: "Make new recovery codes?",
  codesBody: "Your earlier codes stop working. Your browser may ask for a passkey to confirm.",
  codesYes: "Make new codes",
  tokenTitle: (name) => `Revoke “${name}”?`,
  tokenBody: "Programs that use it are refused from now on, and their open connections end.",
  tokenYes: "Revoke",
  tokenRevoked: (name) => ({ title: "Token revoked", body: `“${name}” does not work any more.` }),
  synced: "Synced",
  maySync: "Can be synced",
  deviceBound: "On one device only",
  notUsedYet: "Not used yet",
  passkey: "Passkey",
  added: (name) => ({ title: "Passkey added", body: `“${name}” can be used from now on.` }),
  renamed: (name) => ({ title: "Passkey renamed", body: `It is now called “${name}”.` }),
  removed: (name) => ({ title: "Passkey removed", body: `“${name}” does not open this account any more.` }),
  removeTitle: (name) => `Remove “${name}”?`,
  removeBody: "You cannot sign in with it any more. Your browser may ask for a passkey to confirm.",
  removeYes: "Remove passkey",
  lastPasskey: {
    title: "This is your only passkey",
    body: "Without it you would be locked out. Add another one first; then remove this one.",
  },
  ended: (name) => ({ title: "Session ended", body: `${name} is signed out.` }),
  endedOthers: { title: "Other sessions ended", body: "You are signed in here only." },
  endOthersTitle: "End all other sessions?",
  endOthersBody: "Every other browser and device is signed out at once.",
  endOthersYes: "End the others",
  profileSaved: { title: "Saved", body: "Applications show it from your next visit on." },
  addressCodeSent: (email) => ({
    title: "Check your e-mail",
    body: `If ${email} is free, a code is on its way there. Your address does not change until you enter the code.`,
  }),
  addressChanged: (email) => ({ title: "Address changed", body: `Your address is now ${email}. A notice was sent to the old one.` }),
  deleteTitle: "Delete your account?",
  deleteBody: "Your passkeys and sessions go with it, on every application. It cannot be undone.",
  deleteYes: "Delete my account",
  nameNeeded: { title: "A passkey needs a name", body: "Enter 1 to 200 characters." },

  // Another device.
  cancel: "Cancel",
  close: "Close",
  unknownNetwork: "an unknown network",
  deviceLate: "This code has expired. Close this, and start again for a new one.",
  deviceCodeNeeded: "Please enter the eight characters that the other device shows.",
  deviceCodeRefused: {
    title: "This code does not work",
    body: "It is mistyped, already used, or older than five minutes. Get a new one on the other device.",
  },
  deviceOver: {
    title: "This device was not added",
    body: "It was refused on the other device, or five minutes have passed. Get a new code there to try again.",
  },

  // The redirect-loop page.
  clockSame: "none: both clocks agree",
  clockAhead: (length) => `this device is ${length} ahead`,
  clockBehind: (length) => `this device is ${length} behind`,
};
