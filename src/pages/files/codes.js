// Recovery codes on the account page: made, shown once, printed.

import { text } from "./text.js";
import { call } from "./api.js";
import { withFreshPasskey } from "./passkey.js";
import { confirm } from "./dialog.js";
import { busy, copyLink, explain, ready, tell } from "./message.js";

const byId = (id) => document.getElementById(id);
const [sheet, list, count, title] = ["codes", "codes-list", "codes-count", "codes-title"].map(byId);

function show(codes) {
  list.replaceChildren(
    ...codes.map((code) => {
      const item = document.createElement("li");
      const shown = document.createElement("code");
      shown.textContent = code;
      item.append(shown);
      return item;
    }),
  );
  sheet.showModal();
  // Codes that were shown once are nowhere in the page afterwards.
  sheet.addEventListener("close", () => (list.replaceChildren(), title.focus()), { once: true });
}

/** Makes new codes, and shows them; asks first where that ends older ones. */
export async function makeCodes(button, ways) {
  const question = { title: text.codesTitle, body: text.codesBody, yes: text.codesYes };
  if (count.textContent !== "0" && !(await confirm(question))) return;
  busy(button);
  try {
    const { codes } = await withFreshPasskey(() => call("POST", "recovery-codes"));
    count.textContent = codes.length;
    show(codes);
  } catch (error) {
    explain(error, ways);
  } finally {
    ready(button);
  }
}

byId("codes-print").addEventListener("click", () => print());
byId("codes-copy").addEventListener("click", async () => {
  const codes = [...list.children].map((item) => item.textContent).join("\n");
  const said = await copyLink(codes);
  sheet.close();
  tell(said);
});
