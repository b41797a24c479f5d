// Each shop's refund rate against its normal.

import { byId, element, keyed, say, tableRow } from "./element.js";
import * as format from "./format.js";

const MARKED_DEVIATION = 3;
const SCALES = [0.05, 0.1, 0.2, 0.4, 0.6, 1];

const canHover = matchMedia("(hover: hover)");

/** Whether someone is reading the table: then its rows keep their places. */
function isRead() {
  const panel = byId("shops");
  return panel.matches(":focus-within") || (canHover.matches && panel.matches(":hover"));
}

/** The shops in the order that the table has now; those that are new come last. */
function asShown(shops) {
  const places = new Map(Array.from(byId("shops-rows").children, (row, place) => [row.dataset.key, place]));
  const placeOf = (shop) => places.get(shop.shop_id) ?? Infinity;
  return shops.toSorted((one, other) => (placeOf(one) > placeOf(other)) - (placeOf(one) < placeOf(other)));
}

export function showShops(live) {
  const { shops_total: total } = live;
  const held = isRead();
  const shops = held ? asShown(live.shops) : live.shops;
  say(byId("shops-held"), held ? "Order held while you read." : "");
  const highest = Math.max(0, ...shops.map((shop) => Math.max(shop.rate, shop.normal ?? 0)));
  const scale = SCALES.find((step) => step >= highest) ?? 1;
  byId("shops-empty").hidden = shops.length > 0 || live.now === null;
  say(byId("shops-count"), total > shops.length ? `${format.count(total)}, ${shops.length} shown` : format.count(total));
  keyed(byId("shops-rows"), shops, (shop) => shop.shop_id, create, (row, shop) => update(row, shop, scale));
}

function create() {
  const row = tableRow(["", "number", "number", "number", "visual", "number"]);
  const bar = element("span", "bar", element("span", "fill"), element("span", "mark"));
  bar.setAttribute("aria-hidden", "true");
  row.children[4].append(bar);
  return row;
}

function update(row, shop, scale) {
  const [name, refunds, rate, normal, visual, deviation] = row.children;
  const marked = shop.deviation !== null && shop.deviation >= MARKED_DEVIATION;
  row.classList.toggle("marked", marked);
  say(name, shop.shop_id);
  say(refunds, format.count(shop.refunds));
  refunds.title = `${format.count(shop.refunds)} of ${format.count(shop.sales + shop.refunds)} sales and refunds`;
  say(rate, format.percent(shop.rate));
  say(normal, format.percent(shop.normal));
  say(deviation, `${marked ? "▲ " : ""}${format.deviation(shop.deviation)}`);
  const [fill, mark] = visual.firstChild.children;
  fill.style.width = `${Math.min(100, (shop.rate / scale) * 100)}%`;
  mark.hidden = shop.normal === null;
  mark.style.left = `${Math.min(100, ((shop.normal ?? 0) / scale) * 100)}%`;
}
