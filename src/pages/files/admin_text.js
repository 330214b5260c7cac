// Every sentence that the administrator's script shows.

const sessions = (n) => (Number(n) === 1 ? "1 open session" : `${n} open sessions`);

export const text = {
  cancelled: "Nothing was changed.",
  selected: (label, n) => (n === 0 ? label : `${label} ${n} ${n === 1 ? "user" : "users"}`),
  nobodySelected: { title: "No user is selected", body: "Select the users first." },
  copied: "The link is copied.",
  copyThis: "Select the link and copy it.",
  until: (when) => `It works once, until ${when}.`,
  refused: (name, why) => `${name}: ${why}`,
  someRefused: (done, refused) => ({ title: `${done} done, ${refused.length} refused`, body: refused.join(" ") }),

  done: {
    saved: { title: "Saved", body: "Open sessions follow with their next request." },
    approved: { title: "Approved", body: "The user is told by mail, and may enter from now on." },
    enabled: { title: "Account enabled", body: "The user can sign in again." },
    disabled: { title: "Account disabled", body: "Its sessions and open connections have ended." },
    ended: { title: "Sessions ended", body: "They are refused from now on." },
    passkeyRemoved: { title: "Passkey removed", body: "It does not open the account any more." },
    revoked: { title: "Invitation revoked", body: "Its link does not work any more." },
    tokenRevoked: { title: "Token revoked", body: "It does not work any more." },
    banned: { title: "Banned", body: "No user can sign in from there. Users who are signed in stay signed in." },
    unbanned: { title: "Ban removed", body: "Users can sign in from there again." },
    mailTested: { title: "On its way", body: "If the message does not arrive, the log of the gateway says why." },
    bulk: { title: "Done", body: "The list shows the new state." },
  },

  ask: {
    disable: (name, n) => ({
      title: `Disable “${name}”?`,
      body: `This ends ${sessions(n)} and every open connection, and the user cannot sign in any more.`,
      yes: "Disable",
    }),
    delete: (name, n) => ({
      title: `Delete “${name}”?`,
      body: `This removes the account with its passkeys, and ends ${sessions(n)}. It cannot be undone. The username is never given to another user.`,
      yes: "Delete",
    }),
    wipe: (name, n) => ({
      title: `Replace all passkeys of “${name}”?`,
      body: `Every passkey is removed and ${sessions(n)} end at once. The user needs the link to get in again.`,
      yes: "Replace",
    }),
    passkey: (name) => ({
      title: `Remove the passkey “${name}”?`,
      body: "The sessions that it opened end. The user is told by mail, where there is mail.",
      yes: "Remove",
    }),
    endAll: (name, n) => ({
      title: `End all sessions of “${name}”?`,
      body: `This ends ${sessions(n)} and every open connection. The user can sign in again.`,
      yes: "End sessions",
    }),
    revoke: (name) => ({
      title: `Revoke the invitation of ${name}?`,
      body: "The link that was sent does not work any more.",
      yes: "Revoke",
    }),
    token: (name) => ({
      title: `Revoke the token “${name}”?`,
      body: "Programs that use it are refused from now on, and their open connections end.",
      yes: "Revoke",
    }),
    ban: (network) => ({
      title: `Ban ${network}?`,
      body: "No user can sign in, register or use a code from there. Open sessions go on.",
      yes: "Ban",
    }),
    unban: (network) => ({
      title: `Remove the ban of ${network}?`,
      body: "Users can sign in from there again, and so can the person against whom the ban was made.",
      yes: "Remove",
    }),
    bulkDisable: (n) => ({
      title: n === 1 ? "Disable 1 user?" : `Disable ${n} users?`,
      body: "This ends their sessions and open connections, and they cannot sign in any more.",
      yes: "Disable",
    }),
    bulkEnd: (n) => ({
      title: n === 1 ? "End the sessions of 1 user?" : `End the sessions of ${n} users?`,
      body: "They can sign in again.",
      yes: "End sessions",
    }),
  },
};
