// The redirect-loop page: compares this device's clock with the server's. A clock that is far off
// makes the browser drop cookies that the server thinks are good.

import { language, text } from "./text.js";

const AGREE_S_MAX = 5;

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

function inWords(seconds) {
  const [unit, length] = UNITS.find(([, length]) => seconds >= 2 * length) || ["second", 1];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(Math.round(seconds / length));
}

const shown = document.getElementById("clock");
const ahead = Math.round((Date.now() - Date.parse(shown.dataset.serverTime)) / 1000);
if (Math.abs(ahead) <= AGREE_S_MAX) shown.textContent = text.clockSame;
else shown.textContent = ahead > 0 ? text.clockAhead(inWords(ahead)) : text.clockBehind(inWords(-ahead));
