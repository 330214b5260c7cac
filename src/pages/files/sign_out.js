// Signs out of applications before the gateway ends the session, while they still let the user in.
// An application that does not answer in time keeps no user from signing out here.

const PATIENCE_MS = 3_000;

/** Asks every address in `list`, separated by spaces, and waits a moment for the answers. */
export function signOutOf(list) {
  const ask = (url) => {
    const signal = AbortSignal.timeout ? AbortSignal.timeout(PATIENCE_MS) : undefined;
    return fetch(url, { mode: "no-cors", credentials: "include", cache: "no-store", signal }).catch(() => {});
  };
  return Promise.all((list ?? "").split(" ").filter(Boolean).map(ask));
}

document.querySelector("form[data-applications]")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  event.submitter?.setAttribute("aria-disabled", "true");
  await signOutOf(event.target.dataset.applications);
  event.target.submit();
});
