// Asks the server every two seconds while the page is looked at, and shows what it says.

import { showRates } from "./charts.js";
import { byId, say } from "./element.js";
import { showRejections, showShards, showTiles } from "./feeds.js";
import { dateTime, time } from "./format.js";
import { showPages } from "./pages.js";
import { showShops } from "./shops.js";

const POLL_MILLIS = 2_000;
const BACKOFF_MILLIS_MAX = 30_000;
const ANSWER_MILLIS_MAX = 20_000;

const chosen = () => document.querySelector("input[name=window]:checked").value;
let timer = 0;
let failures = 0;
let asking = null;
let shown = null;

function state(name, text) {
  document.body.dataset.state = name;
  say(byId("status-text"), text);
}

function trouble(text) {
  const box = byId("trouble");
  say(box, text);
  box.hidden = text === "";
}

function show(live) {
  shown = live;
  failures = 0;
  say(byId("now"), live.now ? `${dateTime(live.now)} UTC` : "no transaction yet");
  say(byId("span-note"), live.now === null ? "" :
    `The window begins ${dateTime(live.since)} UTC.` +
    (live.ahead ? ` Later times of ${live.ahead} transactions, far ahead of the rest, are left out.` : ""));
  showTiles(live);
  showRates(live);
  showPages(live);
  showShops(live);
  showRejections(live);
  showShards(live);
  state("live", `Live, ${time(live.served_at)} UTC`);
  trouble(live.complete ? "" : "OpenSearch ran out of time: some figures are too low for the moment.");
}

function fail(message) {
  failures += 1;
  const wait = Math.min(BACKOFF_MILLIS_MAX, POLL_MILLIS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  state("stale", "Not live");
  trouble(`${message} ${shown ? `What you see is from ${time(shown.served_at)} UTC.` : "There is nothing to show yet."} It is tried again by itself.`);
  return wait;
}

async function poll() {
  clearTimeout(timer);
  asking?.abort();
  const own = new AbortController();
  asking = own;
  const limit = setTimeout(() => own.abort(), ANSWER_MILLIS_MAX);
  let wait = POLL_MILLIS;
  try {
    const answer = await fetch(`/api/live?window=${chosen()}`, { signal: own.signal });
    const body = await answer.json();
    if (asking !== own) return;
    if (answer.ok) show(body);
    else wait = fail(body.error);
  } catch {
    if (asking !== own) return;
    wait = fail("The live view's own server does not answer.");
  } finally {
    clearTimeout(limit);
  }
  if (!document.hidden) timer = setTimeout(poll, wait);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return void poll();
  clearTimeout(timer);
  state("paused", "Paused");
});
for (const input of document.querySelectorAll("input[name=window]")) {
  input.addEventListener("change", poll);
}
poll();
