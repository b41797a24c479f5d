// Snoozing a page: nobody is told of such pages of its shop for a day or a week.

import { element, say } from "./element.js";
import * as format from "./format.js";
import { give } from "./say.js";

const SPANS = [["day", "1 day", "Tell nobody of such pages of this shop for a day of event time"],
  ["week", "1 week", "Tell nobody of such pages of this shop for a week of event time"]];

export function snoozeButtons(act) {
  const button = (said, text, label) => {
    const made = element("button", "", text);
    made.type = "button";
    made.title = label;
    made.addEventListener("click", () => act(said));
    return made;
  };
  const buttons = SPANS.map(([span, text, label]) => button({ span }, text, label));
  const lift = button({ lift: true }, "Lift", "Tell people of it again, from now on");
  const told = element("span", "muted verdict-told");
  told.setAttribute("role", "status");
  const box = element("div", "verdict snooze", element("span", "muted", "Snooze"), ...buttons, lift, told);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Snooze");
  return { box, buttons, lift, told };
}

/** The buttons and the badge as the page stands, or as was said since. */
export function showSnooze(item, takes) {
  const { snooze, resting } = item.parts;
  const { snoozed, suppressed_by: keptBack } = item.page;
  const rule = item.rule === undefined ? snoozed : item.rule;
  snooze.box.hidden = !takes && !rule;
  for (const button of snooze.buttons) button.disabled = !takes || item.snoozing === true;
  snooze.lift.hidden = !rule;
  snooze.lift.disabled = !takes || item.snoozing === true;
  resting.hidden = !rule && !keptBack;
  say(resting, rule ? `snoozed until ${format.dayTime(rule.until)} UTC` : keptBack ? "not sent" : "");
  resting.title = rule ?
    [`Rule ${rule.rule_id}`, rule.by && `by ${rule.by}`, rule.note].filter(Boolean).join(", ") :
    keptBack ? `Rule ${keptBack} kept its last revision from being sent` : "";
}

/** What the index says takes the place of what was said here, once that has arrived there. */
export function confirmSnooze(item) {
  if (item.rule === undefined) return;
  const { snoozed } = item.page;
  const arrived = item.rule ? snoozed && snoozed.until >= item.rule.until : snoozed?.rule_id !== item.lifted;
  if (arrived) item.rule = undefined;
}

/** Put a rule, or the end of the one that holds, onto the stream. */
export async function snooze(item, said, show) {
  const { told } = item.parts.snooze;
  const holds = item.rule === undefined ? item.page.snoozed : item.rule;
  item.snoozing = true;
  show();
  say(told, "");
  try {
    const wanted = said.lift ? { lift: holds.rule_id } : { span: said.span };
    const answer = await give("/api/suppress", { page_id: item.page.page_id, ...wanted });
    item.rule = said.lift ? null : { rule_id: answer.rule_id, until: answer.until, by: "console" };
    item.lifted = answer.lifted;
    say(told, said.lift ? "lifted" : "given");
  } catch (error) {
    say(told, `not given: ${error.message}`);
  }
  item.snoozing = false;
  show();
}
