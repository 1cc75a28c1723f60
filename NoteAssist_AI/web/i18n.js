/** The client's texts in three languages. English is loaded at the start, the others when they are chosen. */
import { signal } from "@preact/signals";
import english from "page/words/en.js";

export const LANGUAGES = { en: "English", de: "Deutsch", ur: "اردو" };
const STORED = "noteassist.language";
const RIGHT_TO_LEFT = ["ur"];

export const language = signal("en");
const words = signal(english);

/** The text of a key; `{name}` in it is replaced by the value of that name. */
export function t(key, values = {}) {
  const text = words.value[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export async function setLanguage(code) {
  words.value = code === "en" ? english : (await import(`page/words/${code}.js`)).default;
  language.value = code;
  localStorage.setItem(STORED, code);
  document.documentElement.lang = code;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(code) ? "rtl" : "ltr";
}

/** The language chosen before, or the first of the browser's languages that is available. */
export async function setFirstLanguage() {
  const wanted = [localStorage.getItem(STORED), ...navigator.languages.map((tag) => tag.split("-")[0])];
  const code = wanted.find((it) => it in LANGUAGES) ?? "en";
  if (code !== "en") await setLanguage(code);
}

export function formatTime(timestamp) {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" }).format(new Date(timestamp));
}

/** A time in a time zone, with the zone's name. */
export function formatTimeIn(timestamp, timeZone) {
  const time = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "numeric", timeZoneName: "short" };
  return new Intl.DateTimeFormat(language.value, { ...time, timeZone }).format(new Date(timestamp));
}

/** The short name of a day of the week; 0 is Monday. */
export function weekdayName(index) {
  return new Intl.DateTimeFormat(language.value, { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + index));
}

/** A day such as "2026-11-30", without the year. */
export function formatDay(day) {
  return new Intl.DateTimeFormat(language.value, { day: "numeric", month: "short", timeZone: "UTC" }).format(new Date(day));
}

export function formatShare(share) {
  return new Intl.NumberFormat(language.value, { style: "percent" }).format(share);
}

const SPANS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];

/** A number of seconds in its largest unit, such as "3 d". */
export function formatSpan(seconds) {
  const [unit, length] = SPANS.find(([, it]) => seconds >= it) ?? ["second", 1];
  const count = Math.round((seconds / length) * 10) / 10;
  const digits = unit === "year" || unit === "month" ? 1 : 0;
  return new Intl.NumberFormat(language.value, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits }).format(count);
}
