// Moments in the reader's own words. The server writes days in UTC, for pages without a script.

import { language } from "./text.js";

// Dates in the reader's own words; the machine-readable moment stays in the attribute.
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];
const RELATIVE_DAYS_MAX = 7;

/** Says when `element`, a <time>, is. */
export function tellTime(element) {
  const at = new Date(element.dateTime);
  const age = at - Date.now();
  element.title = moment.format(at);
  const [unit, length] = UNITS.find(([, ms]) => Math.abs(age) >= ms) || ["minute", 60_000];
  element.textContent = Math.abs(age) > RELATIVE_DAYS_MAX * 86_400_000
    ? day.format(at)
    : relative.format(Math.round(age / length), unit);
}

/** Says it for every moment of the page. */
export function tellTimes() {
  document.querySelectorAll("time").forEach(tellTime);
}
