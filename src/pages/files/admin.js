// The administrator's pages. Each button that changes something has attributes for it: the method
// and path of the admin API, the question to ask first, and the message when it is done. After a
// change the list is fetched again, so that it shows the stored state.

import { text } from "./admin_text.js";
import { attributesOf, call } from "./api.js";
import { confirm } from "./dialog.js";
import { withFreshPasskey } from "./passkey.js";
import { busy, clear, explain, isBusy, ready, show, tell } from "./message.js";
import { tellTimes } from "./moments.js";
import { moment } from "./text.js";

const byId = (id) => document.getElementById(id);
const [page, content, linkDialog] = ["page", "content", "link-told"].map(byId);

/** How long after a keystroke the search waits for the next one. */
const TYPING_MS = 200;

function tellLink({ link, expires_at: until }) {
  byId("link-text").textContent = link;
  byId("link-until").textContent = text.until(moment(until));
  byId("link-copied").textContent = "";
  linkDialog.showModal();
  return new Promise((resolve) => {
    // A link is a secret: it leaves the page with the dialog.
    linkDialog.addEventListener("close", () => (byId("link-text").replaceChildren(), resolve()), { once: true });
  });
}

let latest = 0;

/** Fetches the page again and shows its content, with the focus where it was. */
async function refresh() {
  const turn = ++latest;
  const response = await fetch(location.href, { credentials: "same-origin", cache: "no-store", headers: { Accept: "text/html" } });
  // The user is signed out or no administrator any more: the whole page says so.
  if (response.redirected || !response.ok) return location.reload();
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  if (turn !== latest) return;
  const focused = document.activeElement?.id;
  content.replaceChildren(...fresh.getElementById("content").childNodes);
  for (const part of ["h1", ".tabs ul"]) {
    document.querySelector(part)?.replaceChildren(...(fresh.querySelector(part)?.childNodes ?? []));
  }
  tellTimes();
  count();
  (byId(focused) ?? (document.activeElement === document.body ? page : null))?.focus();
}

async function change(element, method, path, body) {
  if (isBusy(element)) return;
  clear();
  busy(element);
  try {
    const answer = await withFreshPasskey(() => call(method, path, body));
    if (element.dataset.goes) return location.assign(element.dataset.goes);
    if (answer?.link) await tellLink(answer);
    await refresh();
    const done = text.done[element.dataset.done];
    if (done) tell(done);
    return true;
  } catch (error) {
    explain(error);
  } finally {
    ready(element);
  }
}

function valueOf(field) {
  const value = field.value.trim();
  switch (field.dataset.kind) {
    case "list":
      return value.split(/[\s,]+/).filter(Boolean);
    case "flag":
      return field.checked;
    case "optional":
      return value || undefined;
    case "number":
      return value ? Number(value) : undefined;
    case "day":
      // The account ends with the end of the chosen day.
      return value ? `${value}T23:59:59Z` : null;
    default:
      return value;
  }
}

async function submit(form) {
  const fields = [...form.elements].filter((field) => field.name);
  const body = Object.fromEntries(fields.map((field) => [field.name, valueOf(field)]));
  const attributes = attributesOf(form);
  if (attributes) body.attributes = attributes;
  const { ask, names } = form.dataset;
  if (ask && !(await confirm(text.ask[ask](body[names])))) return;
  const button = form.querySelector("[type=submit]");
  button.dataset.done = form.dataset.done ?? "";
  const done = await change(button, form.dataset.method, form.dataset.path, body);
  if (done && form.dataset.method === "POST") form.reset();
}

// Changes of several users at once.

const ticked = () => [...content.querySelectorAll('[name="user"]:checked')].map((box) => box.closest("tr"));
const labels = new WeakMap();

function count() {
  const n = ticked().length;
  for (const button of content.querySelectorAll("[data-bulk]")) {
    if (!labels.has(button)) labels.set(button, button.textContent);
    button.textContent = text.selected(labels.get(button), n);
  }
}

// A spreadsheet takes a cell that begins like this for a formula.
const cell = (value) => `"${(/^[=+\-@\t\r]/.test(value) ? `'${value}` : value).replaceAll('"', '""')}"`;

function exported(rows) {
  const lines = rows.map((row) => [...row.querySelectorAll("[data-label]")].map((it) => cell(it.innerText.trim())).join(","));
  const head = [...rows[0].querySelectorAll("[data-label]")].map((it) => cell(it.dataset.label)).join(",");
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([[head, ...lines].join("\r\n"), "\r\n"], { type: "text/csv" }));
  anchor.download = "users.csv";
  anchor.click();
  URL.revokeObjectURL(anchor.href);
}

const EACH = {
  disable: (id) => call("PATCH", `admin/v1/users/${id}`, { standing: "disabled" }),
  enable: (id) => call("PATCH", `admin/v1/users/${id}`, { standing: "active" }),
  end: (id) => call("DELETE", `admin/v1/users/${id}/sessions`),
};

async function several(button) {
  const rows = ticked();
  if (rows.length === 0) return show(text.nobodySelected);
  const verb = button.dataset.bulk;
  if (verb === "export") return exported(rows);
  const question = { disable: text.ask.bulkDisable, end: text.ask.bulkEnd }[verb];
  if (question && !(await confirm(question(rows.length)))) return;
  busy(button);
  const refused = [];
  try {
    for (const row of rows) {
      try {
        await withFreshPasskey(() => EACH[verb](row.dataset.id));
      } catch (error) {
        // An administrator who shows no passkey cancels the change of all rows.
        if (error.name !== "Problem") throw error;
        refused.push(text.refused(row.querySelector("th").innerText.trim(), error.detail));
      }
    }
    await refresh();
    if (refused.length > 0) show(text.someRefused(rows.length - refused.length, refused));
    else tell(text.done.bulk);
  } catch (error) {
    explain(error);
  } finally {
    ready(button);
  }
}

page.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button || isBusy(button)) return;
  if (button.dataset.bulk) return several(button);
  if (!button.dataset.path) return;
  const { ask, name, count: number, method, path, body } = button.dataset;
  if (ask && !(await confirm(text.ask[ask](name, number)))) return;
  change(button, method, path, body && JSON.parse(body));
});
page.addEventListener("submit", (event) => {
  if (!event.target.dataset.path) return;
  event.preventDefault();
  submit(event.target);
});
page.addEventListener("change", (event) => {
  if (event.target.id === "select-all") {
    for (const box of content.querySelectorAll('[name="user"]')) box.checked = event.target.checked;
  }
  if (event.target.type === "checkbox") count();
});
byId("link-copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(byId("link-text").textContent);
    byId("link-copied").textContent = text.copied;
  } catch {
    byId("link-copied").textContent = text.copyThis;
  }
});

// The list is searched while the administrator types; the address has the search.
const filters = byId("filters");
let typing;

function search() {
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  history.replaceState(null, "", query.size > 0 ? `?${query}` : location.pathname);
  refresh().catch(explain);
}

filters?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, TYPING_MS);
});
filters?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  search();
});

tellTimes();
count();
