// The open pages with their evidence, and those that closed last.

import { byId, element, keyed, say, tableRow } from "./element.js";
import * as format from "./format.js";
import { give } from "./say.js";
import { confirmSnooze, showSnooze, snooze, snoozeButtons } from "./snooze.js";

const announced = new Set();
let first = true;
let takesVerdicts = false;

export function showPages(live) {
  takesVerdicts = live.verdicts.open;
  const { fraud, ok, policy } = live.verdicts;
  const judged = fraud + ok + policy;
  say(byId("verdicts-note"), judged === 0 ? "" :
    `Of ${format.plural(judged, "page", "pages")} that people judged, ${fraud} were fraud (${format.percent(fraud / judged)}), ${ok} nothing, ${policy} how things are done now.`);
  byId("precision").hidden = judged === 0;
  keyed(byId("precision-rows"), live.verdicts.by_reason, (row) => row.reason,
    () => tableRow(["", "number", "number", "number", "number"]),
    (made, row) => [format.words(row.reason), format.count(row.fraud + row.ok + row.policy), format.count(row.fraud),
      format.percent(row.precision), `${format.percent(row.low)} to ${format.percent(row.high)}`]
      .forEach((text, index) => say(made.children[index], text)));
  keyed(byId("pages-list"), withLinked(live.open_pages), (page) => page.page_id, create, update);
  showLinked();
  byId("pages-empty").hidden = live.open_pages.length > 0 || live.now === null;
  const more = live.open_total > live.open_pages.length ? `, the gravest ${live.open_pages.length} shown` : "";
  say(byId("pages-count"), `${format.count(live.open_total)}${more}`);
  announce(live.open_pages);
  showClosed(live);
}

/** Tell a screen reader of pages that were not there before, once each. */
function announce(pages) {
  const fresh = pages.filter((page) => !announced.has(page.page_id));
  announced.clear();
  for (const page of pages) announced.add(page.page_id);
  if (first || fresh.length === 0) {
    first = false;
    return;
  }
  say(byId("announcer"), fresh.length > 3 ? `${fresh.length} new pages` : fresh
    .map((page) => `New page, ${format.severity(page.severity)}, ${page.shop_id}: ${page.summary}`)
    .join(". "));
}

function create() {
  const badge = element("span", "badge");
  const title = element("span", "page-title");
  const opened = element("time", "page-opened");
  const resting = element("span", "resting");
  const summary = element("p", "page-summary");
  const facts = element("dl", "facts");
  for (const name of ["About", "Refunds", "Refunded", "Observed", "Score"]) {
    facts.append(element("div", "", element("dt", "", name), element("dd")));
  }
  const toggle = element("summary");
  const rows = element("tbody");
  const note = element("p", "muted evidence-note");
  const onwards = element("dl", "onwards");
  const details = element("details", "evidence", toggle, evidenceTable(rows), note, onwards);
  const verdict = verdictButtons((finding) => judge(item, finding));
  const rest = snoozeButtons((said) => snooze(item, said, () => showSnooze(item, takesVerdicts)));
  const item = element("li", "", element("article", "page",
    element("h3", "", badge, resting, title, opened), summary, facts, verdict.box, rest.box, details));
  item.parts = { badge, resting, title, opened, summary, facts: facts.querySelectorAll("dd"), span: facts.querySelectorAll("dt")[3], toggle, rows, note, details, verdict, snooze: rest, onwards };
  details.addEventListener("toggle", () => {
    if (details.open) load(item);
  });
  if (!first) item.classList.add("fresh");
  return item;
}

function update(item, page) {
  const { badge, title, opened, summary, facts, span, toggle, details } = item.parts;
  const before = item.page;
  item.page = page;
  badge.className = `badge severity-${page.severity}`;
  say(badge, format.severity(page.severity));
  say(title, `${format.words(page.reason)} · ${page.shop_id}`);
  say(opened, `${page.status === "closed" ? "closed, " : ""}opened ${format.dayTime(page.opened_at)} UTC`);
  opened.dateTime = page.opened_at;
  opened.title = `Opened ${page.opened_at}, updated ${page.updated_at}, model ${page.model_version}`;
  say(summary, page.summary);
  say(facts[0], page.entity_kind === "shop" ? "the whole shop" : `${page.entity_kind} ${page.entity_id}`);
  say(facts[1], format.count(page.refunds));
  say(facts[2], format.money(page.refunded));
  const figure = (value) => page.of_money ?
    format.money({ currency: page.refunded.currency, amount: value }) : format.small(value);
  say(span, page.of_money ? "Amount" : format.span(page.window_seconds));
  say(facts[3], `${figure(page.observed)}, ${figure(page.expected)} expected`);
  say(facts[4], format.score(page.score));
  if (before?.verdict !== page.verdict) item.said = page.verdict;
  showVerdict(item);
  confirmSnooze(item);
  showSnooze(item, takesVerdicts);
  showLinks(item);
  say(toggle, `Evidence: ${format.plural(page.evidence.length, "transaction", "transactions")}`);
  if (details.open && before?.evidence.join() !== page.evidence.join()) load(item);
}

const LINKS = [["dashboard", "Its shop, an hour around it"], ["replay", "Replay this stretch of the stream"], ["athena", "Its refunds, by Athena or tillwatch sql"]];

/** Where to look on, and the command and the query that a person copies. */
function showLinks(item) {
  const known = LINKS.filter(([name]) => item.page.links[name]);
  keyed(item.parts.onwards, known, ([name]) => name,
    ([name]) => element("div", "", element("dt"), element("dd", "", element(name === "dashboard" ? "a" : "code"))),
    (made, [name, text]) => {
      const target = made.children[1].firstChild;
      say(made.children[0], text);
      say(target, name === "dashboard" ? "OpenSearch Dashboards" : item.page.links[name]);
      if (name === "dashboard") target.href = item.page.links[name];
    });
}

let linked = null;
let wanted = "";

/** The pages, and before them the one that the address names where it is not among them. */
function withLinked(pages) {
  const named = new URLSearchParams(location.hash.slice(1)).get("page") ?? "";
  if (named !== wanted) {
    wanted = named;
    linked = null;
    if (named) fetchLinked(named);
  }
  return linked && !pages.some((page) => page.page_id === linked.page_id) ? [linked, ...pages] : pages;
}

/** Bring the page that the address names before the eyes, once. */
function showLinked() {
  const item = Array.from(byId("pages-list").children).find((child) => child.dataset.key === wanted);
  for (const child of byId("pages-list").children) child.classList.toggle("linked", child === item);
  if (!item || item.shownAs === wanted) return;
  item.shownAs = wanted;
  item.scrollIntoView({ block: "nearest" });
  item.parts.details.open = true;
}

async function fetchLinked(named) {
  try {
    const answer = await fetch(`/api/page?page_id=${encodeURIComponent(named)}`, {
      signal: AbortSignal.timeout(10_000),
    });
    if (answer.ok && wanted === named) linked = await answer.json();
    else if (answer.status === 404) say(byId("announcer"), `There is no page ${named}`);
  } catch {
    if (wanted === named) wanted = ""; // it is tried again with the next figures
  }
}

const FINDINGS = [["fraud", "Fraud", "This was fraud"], ["ok", "Nothing", "This was nothing"],
  ["policy", "Policy", "This is how things are done now"]];

function verdictButtons(give) {
  const buttons = FINDINGS.map(([finding, text, label]) => {
    const button = element("button", "", text);
    button.type = "button";
    button.title = label;
    button.addEventListener("click", () => give(finding));
    return button;
  });
  const told = element("span", "muted verdict-told");
  told.setAttribute("role", "status");
  const box = element("div", "verdict", element("span", "muted", "Verdict"), ...buttons, told);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Verdict");
  return { box, buttons, told };
}

function showVerdict(item) {
  const { box, buttons } = item.parts.verdict;
  box.hidden = !takesVerdicts && !item.said;
  buttons.forEach((button, index) => {
    button.setAttribute("aria-pressed", String(item.said === FINDINGS[index][0]));
    button.disabled = !takesVerdicts || item.giving === true;
  });
}

/** Put a verdict onto the stream; the page learns of it again once the worker has read it. */
async function judge(item, finding) {
  const { told } = item.parts.verdict;
  item.giving = true;
  showVerdict(item);
  say(told, "");
  try {
    await give("/api/verdict", { page_id: item.page.page_id, verdict: finding });
    item.said = finding;
    say(told, "given");
  } catch (error) {
    say(told, `not given: ${error.message}`);
  }
  item.giving = false;
  showVerdict(item);
}

const COLUMNS = [["Transaction", ""], ["Time (UTC)", ""], ["Total", "number"], ["Score", "number"],
  ["Cashier", ""], ["Register", ""], ["Paid by", ""], ["Receipt", ""], ["Reason given", ""]];

function evidenceTable(rows) {
  const head = element("tr");
  for (const [name, className] of COLUMNS) {
    const cell = element("th", className, name);
    cell.scope = "col";
    head.append(cell);
  }
  const caption = element("caption", "visually-hidden", "Transactions behind this page, the worst first");
  const scroll = element("div", "scroll", element("table", "", caption, element("thead", "", head), rows));
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", "Evidence");
  return scroll;
}

/** Fetch the transactions of a page; the ids stand there at once. */
async function load(item) {
  const { rows, note } = item.parts;
  const wanted = item.page;
  if (rows.children.length === 0) showEvidence(rows, wanted.evidence.map((id) => ({ transaction_id: id })));
  try {
    const answer = await fetch(`/api/evidence?page_id=${encodeURIComponent(wanted.page_id)}`, {
      signal: AbortSignal.timeout(10_000),
    });
    if (!answer.ok) throw new Error((await answer.json()).error);
    const { transactions } = await answer.json();
    if (item.page.page_id !== wanted.page_id) return;
    showEvidence(rows, transactions);
    say(note, transactions.every((row) => row.found) ? "" :
      "A transaction without figures is not in OpenSearch: not yet, or no longer.");
  } catch (error) {
    say(note, `The transactions could not be fetched: ${error.message}. Close and open to try again.`);
  }
}

function showEvidence(rows, transactions) {
  keyed(rows, transactions, (row) => row.transaction_id,
    () => tableRow(COLUMNS.map(([, className]) => className)),
    (made, row) => {
      const receipt = row.original_transaction_id ?? (row.found ? "none" : null);
      const cells = [row.transaction_id, row.occurred_at ? format.dateTime(row.occurred_at) : null,
        row.total ? format.money(row.total) : null, format.score(row.score), row.cashier_id,
        row.register_id, row.payment_method ? format.words(row.payment_method.toLowerCase()) : null,
        receipt, row.reason ? format.words(row.reason.toLowerCase()) : null];
      cells.forEach((text, index) => say(made.children[index], text ?? "–"));
    });
}

function showClosed(live) {
  say(byId("closed-count"), format.count(live.closed_total));
  byId("closed-empty").hidden = live.closed_pages.length > 0;
  keyed(byId("closed-rows"), live.closed_pages, (page) => page.page_id,
    () => tableRow(["when", "", "number"]),
    (made, page) => {
      const [closed, what, refunded] = made.children;
      if (!what.firstChild) what.append(element("span"), " ", element("span"));
      say(closed, format.dayTime(page.updated_at));
      what.firstChild.className = `badge severity-${page.severity}`;
      say(what.firstChild, format.severity(page.severity));
      say(what.lastChild, `${page.shop_id} · ${page.entity_kind === "shop" ? format.words(page.reason) :
        `${format.words(page.reason)}, ${page.entity_kind} ${page.entity_id}`}`);
      made.title = page.summary;
      say(refunded, format.money(page.refunded));
    });
}
