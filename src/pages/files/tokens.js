// Access tokens on the account page: made, shown once, revoked.

import { text } from "./text.js";
import { call } from "./api.js";
import { withFreshPasskey } from "./passkey.js";
import { confirm } from "./dialog.js";
import { tellTime } from "./moments.js";
import { busy, copyLink, explain, ready, tell } from "./message.js";

const byId = (id) => document.getElementById(id);
const [rows, count, title] = ["tokens", "tokens-count", "tokens-title"].map(byId);
const [asking, form, problem, made, shown, curl] = ["token-new", "token-form", "token-problem", "token-made", "token-text", "token-curl"].map(byId);
const part = (row, name) => row.querySelector(`[data-part="${name}"]`);
const DAY_S = 86_400;

const words = (field) => field.value.split(/[\s,]+/).filter(Boolean);

function recount() {
  count.textContent = rows.children.length;
}

/** Asks what a token is to be. */
export function newToken() {
  problem.hidden = true;
  asking.showModal();
}

function addRow(token) {
  const row = byId("token-row").content.cloneNode(true).firstElementChild;
  row.dataset.id = token.id;
  row.classList.add("fresh");
  for (const element of row.querySelectorAll('[data-part="name"]')) element.textContent = token.name;
  part(row, "opens").textContent = [token.routes, token.methods, token.paths, token.networks]
    .filter((list) => list.length > 0)
    .map((list) => list.join(", "))
    .join(" · ");
  part(row, "expires").dateTime = token.expires_at;
  tellTime(part(row, "expires"));
  rows.prepend(row);
  recount();
}

function show(token) {
  shown.textContent = token.token;
  byId("token-try").hidden = !token.curl;
  curl.textContent = token.curl ?? "";
  made.showModal();
  // A token that was shown once is nowhere in the page afterwards.
  const forget = () => ((shown.textContent = curl.textContent = ""), title.focus());
  made.addEventListener("close", forget, { once: true });
}

async function make(event, ways) {
  event.preventDefault();
  const { name, days, methods, paths, networks } = form.elements;
  const button = byId("token-make");
  const body = {
    name: name.value.trim(),
    routes: [...form.querySelectorAll("[name=routes]:checked")].map((box) => box.value),
    methods: words(methods),
    paths: words(paths),
    networks: words(networks),
    expires_in_seconds: Number(days.value) * DAY_S,
  };
  problem.hidden = true;
  busy(button);
  try {
    const token = await withFreshPasskey(() => call("POST", "tokens", body));
    form.reset();
    asking.close();
    addRow(token);
    show(token);
  } catch (error) {
    // The user can correct the form in place.
    if (error.status === 422 || error.status === 409) {
      problem.textContent = error.detail;
      problem.hidden = false;
    } else {
      asking.close();
      explain(error, ways);
    }
  } finally {
    ready(button);
  }
}

/** Revokes the token of a row. */
export async function revokeToken(row, ways) {
  const name = part(row, "name").textContent;
  if (!(await confirm({ title: text.tokenTitle(name), body: text.tokenBody, yes: text.tokenYes }))) return;
  try {
    await withFreshPasskey(() => call("DELETE", `tokens/${encodeURIComponent(row.dataset.id)}`));
    row.remove();
    recount();
    title.focus();
    tell(text.tokenRevoked(name));
  } catch (error) {
    explain(error, ways);
  }
}

/** Makes the dialogs work; `ways` are the ways on that the page offers. */
export function prepareTokens(ways) {
  form.addEventListener("submit", (event) => make(event, ways));
  byId("token-cancel").addEventListener("click", () => asking.close());
  byId("token-copy").addEventListener("click", async () => {
    const said = await copyLink(shown.textContent);
    made.close();
    tell(said);
  });
}
