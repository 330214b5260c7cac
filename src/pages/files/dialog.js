// The question before something is removed or ended (templates/confirm.html).

const byId = (id) => document.getElementById(id);

/** Asks; resolves to whether the answer is yes. */
export function confirm({ title, body, yes }) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-body").textContent = body;
  byId("confirm-yes").textContent = yes;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm"), { once: true });
  });
}
