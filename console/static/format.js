// How figures and times read. Times are UTC throughout.

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const twoDecimals = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 2 });
const percentage = new Intl.NumberFormat(LOCALE, {
  style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1,
});
const signed = new Intl.NumberFormat(LOCALE, {
  minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero",
});
const day = new Intl.DateTimeFormat(LOCALE, {
  timeZone: "UTC", weekday: "short", day: "numeric", month: "short",
});
const monies = new Map();

export const count = (value) => whole.format(value);
export const rate = (value) => decimal.format(value);
export const small = (value) => twoDecimals.format(value);
export const percent = (value) => (value === null ? "–" : percentage.format(value));
export const deviation = (value) => (value === null ? "–" : `${signed.format(value)} σ`);
export const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

/** Money as its currency writes it. A code that Intl refuses is written out beside the figure. */
export function money({ currency, amount }) {
  if (!monies.has(currency) && monies.size < 200) {
    try {
      monies.set(currency, new Intl.NumberFormat(LOCALE, { style: "currency", currency }));
    } catch {
      monies.set(currency, null);
    }
  }
  const format = monies.get(currency);
  return format ? format.format(amount) : `${currency} ${amount}`;
}

/** 2026-01-05 10:31:07 */
export const dateTime = (iso) => `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
/** 10:31:07 */
export const time = (iso) => iso.slice(11, 19);
/** 5 Jan 10:31, without the year: the header states it. */
export const dayTime = (iso) => `${day.format(new Date(iso)).replace(/^\w+,? /, "")} ${iso.slice(11, 16)}`;
/** Mon 5 Jan */
export const dayOf = (seconds) => day.format(new Date(seconds * 1000)).replace(",", "");
/** 10:31 */
export const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

/** A length of time in the two units that matter. */
export function duration(millis) {
  const seconds = Math.max(0, millis) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A page's figures look back over so long. */
export function span(seconds) {
  if (!seconds) return "Observed";
  if (seconds < 5400) return `In ${plural(Math.max(1, Math.round(seconds / 60)), "minute", "minutes")}`;
  const hours = Math.round(seconds / 3600);
  return hours < 24 ? `In ${plural(hours, "hour", "hours")}` : hours < 48 ? "In a day" :
    hours < 168 ? `In ${Math.round(hours / 24)} days` : "In about a week";
}

export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

export const SEVERITIES = { 1: "Low", 2: "Medium", 3: "High", 4: "Critical" };
export const severity = (value) => SEVERITIES[value] ?? String(value);

/** `refund_burst` as `Refund burst`. */
export function words(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
