// Moments in the reader's own time. The server writes days in UTC, for pages without a script.

import { dates, language, moment } from "./text.js";

// As the server writes days; the machine-readable moment stays in the attribute.
const day = new Intl.DateTimeFormat(dates, { dateStyle: "long" });
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];
const RELATIVE_DAYS_MAX = 7;

/** Says when `element`, a <time>, is. */
export function tellTime(element) {
  const at = new Date(element.dateTime);
  const age = at - Date.now();
  element.title = moment(at);
  const [unit, length] = UNITS.find(([, ms]) => Math.abs(age) >= ms) || ["minute", 60_000];
  element.textContent = Math.abs(age) > RELATIVE_DAYS_MAX * 86_400_000
    ? day.format(at)
    : relative.format(Math.round(age / length), unit);
}

/** Says it for every moment of the page. */
export function tellTimes() {
  document.querySelectorAll("time").forEach(tellTime);
}
