// The redirect-loop page: compares this device's clock with the server's. A clock that is far off
// makes the browser drop cookies that the server thinks are good.

import { text } from "./text.js";

const AGREE_S_MAX = 5;

const shown = document.getElementById("clock");
const ahead = Math.round((Date.now() - Date.parse(shown.dataset.serverTime)) / 1000);
if (Math.abs(ahead) <= AGREE_S_MAX) shown.textContent = text.clockSame;
else shown.textContent = ahead > 0 ? text.clockAhead(ahead) : text.clockBehind(-ahead);
