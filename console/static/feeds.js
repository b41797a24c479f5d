// The tiles at the top, the latest rejections, the lag of every shard.

import { byId, element, keyed, say, tableRow } from "./element.js";
import * as format from "./format.js";

const QUIET_MILLIS = 120_000;
const BEHIND_MILLIS = 60_000;

export function showTiles(live) {
  const { totals } = live;
  const minutes = live.now ? (Date.parse(live.now) - Date.parse(live.since)) / 60_000 : 0;
  say(byId("tile-transactions"), format.count(totals.transactions));
  say(byId("tile-transactions-sub"), minutes > 0 ?
    `${format.rate(totals.transactions / minutes)} per minute` : "none yet");
  say(byId("tile-refunds"), format.count(totals.refunds));
  say(byId("tile-refunds-sub"), totals.refunded.length === 0 ? "nothing paid back" :
    totals.refunded.slice(0, 2).map(format.money).join(" + ") + (totals.refunded.length > 2 ? " + …" : ""));
  say(byId("tile-rate"), format.percent(totals.refund_rate));
  say(byId("tile-rate-sub"), totals.normal_rate === null ? "no normal known yet" : `normal ${format.percent(totals.normal_rate)}`);
  say(byId("tile-pages"), format.count(live.open_total));
  const grave = live.open_pages.filter((page) => page.severity >= 3).length;
  byId("tile-pages-box").classList.toggle("alarming", grave > 0);
  say(byId("tile-pages-sub"), live.open_total === 0 ? "all as usual" : `${format.count(grave)} high or critical`);
  say(byId("tile-rejections"), format.count(live.rejections_total));
  const latest = live.rejections[0]?.arrived_at;
  say(byId("tile-rejections-sub"), latest ? `last arrived ${format.dayTime(latest)}` : live.rejections_total ? "arrival not known" : "none");
  const span = document.querySelector(`input[name=window][value="${live.window}"] + span`).textContent;
  for (const name of document.querySelectorAll(".tiles .span")) say(name, span);
  document.title = `${live.open_total ? `(${live.open_total}) ` : ""}Tillwatch live view`;
}

export function showShards(live) {
  const served = Date.parse(live.served_at);
  const known = live.shards.filter((shard) => shard.behind_millis !== null);
  const worst = Math.max(0, ...known.map((shard) => shard.behind_millis));
  const quiet = live.shards.filter((shard) => served - Date.parse(shard.written_at) > QUIET_MILLIS);
  say(byId("tile-lag"), known.length ? format.duration(worst) : "–");
  say(byId("tile-lag-sub"), live.shards.length === 0 ? "no worker has reported" :
    quiet.length ? `${quiet.length} of ${format.plural(live.shards.length, "shard", "shards")} quiet` :
    `the furthest of ${format.plural(live.shards.length, "shard", "shards")}`);
  byId("tile-lag-box").classList.toggle("alarming", worst >= BEHIND_MILLIS);
  say(byId("shards-count"), `${format.plural(live.indexed, "transaction", "transactions")} indexed`);
  byId("shards-empty").hidden = live.shards.length > 0;
  keyed(byId("shards-rows"), live.shards, (shard) => shard.shard_id,
    () => tableRow(["", "number", "when wide", "number wide", ""]),
    (row, shard) => {
      const [name, behind, event, records, reported] = row.children;
      const age = served - Date.parse(shard.written_at);
      row.classList.toggle("marked", (shard.behind_millis ?? 0) >= BEHIND_MILLIS);
      row.classList.toggle("quiet", age > QUIET_MILLIS);
      say(name, shard.shard_id);
      say(behind, shard.behind_millis === null ? "–" : format.duration(shard.behind_millis));
      say(records, format.count(shard.records));
      say(event, shard.last_event_at ? format.dateTime(shard.last_event_at).slice(5) : "–");
      say(reported, age > QUIET_MILLIS ? `quiet for ${format.duration(age)}` : `${format.duration(age)} ago`);
    });
}

export function showRejections(live) {
  say(byId("rejections-count"), `${format.count(live.rejections_total)} of all time`);
  byId("rejections-empty").hidden = live.rejections.length > 0;
  keyed(byId("rejections-rows"), live.rejections, (rejection) => rejection.position,
    () => tableRow(["when", "", "detail"]),
    (row, rejection) => {
      const [arrived, reason, detail] = row.children;
      if (!reason.firstChild) reason.append(element("div"), element("div", "muted"));
      say(arrived, rejection.arrived_at ? format.dateTime(rejection.arrived_at).slice(5) : "–");
      say(reason.firstChild, rejection.reason);
      say(reason.lastChild, rejection.field ? `${rejection.stage}, ${rejection.field}` : rejection.stage);
      say(detail, rejection.detail);
      row.title = `${rejection.position}${rejection.shop_id ? `, ${rejection.shop_id}` : ""}`;
    });
}
