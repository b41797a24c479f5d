// The two charts: uPlot (vendor/uplot), drawn in UTC and in the page's own colours.

import { byId, element, keyed, say, tableRow } from "./element.js";
import { clock, dayOf, dateTime, rate } from "./format.js";

const HEIGHT = 190;
const PLOT = globalThis.uPlot;

/** What a colour of live.css is right now, in the words a canvas understands. */
function ink(name) {
  const probe = element("span");
  probe.hidden = true;
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

const axisLabels = (plot, splits) =>
  splits.map((at) => (at % 86400 === 0 ? dayOf(at) : clock(at)));

/** One chart of one series, with a read-out of the bucket under the pointer or of the latest. */
class Chart {
  constructor(name, noun, colour, bars) {
    Object.assign(this, { name, noun, colour, bars });
    this.box = byId(`chart-${name}`);
    this.readout = byId(`readout-${name}`);
    this.marks = [];
    this.data = [[], []];
    this.plot = null;
    new ResizeObserver(() => {
      this.plot?.setSize({ width: this.box.clientWidth, height: HEIGHT });
    }).observe(this.box);
    addEventListener("themechange", () => this.redraw());
  }

  show(at, values, marks) {
    this.data = [at, values];
    this.marks = marks;
    if (this.plot) this.plot.setData(this.data);
    else this.redraw();
    this.read();
    const highest = Math.max(0, ...values);
    this.box.setAttribute(
      "aria-label",
      at.length === 0
        ? `${this.noun} per minute: none yet`
        : `${this.noun} per minute from ${clock(at[0])} to ${clock(at.at(-1))} UTC: ` +
          `lately ${rate(values.at(-1))}, at most ${rate(highest)}. The figures follow as a table.`,
    );
  }

  /** Colours are baked into a plot, so a change of theme makes it anew. */
  redraw() {
    if (this.data[0].length === 0) return;
    this.plot?.destroy();
    const [line, muted, grid] = [ink(this.colour), ink("muted"), ink("line")];
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: muted, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const series = { stroke: line, width: 1.5, points: { show: false } };
    if (this.bars) Object.assign(series, { fill: line, width: 0, paths: PLOT.paths.bars({ size: [0.8, 24], align: 1 }) });
    else Object.assign(series, { fill: ink(`${this.colour}-soft`), paths: PLOT.paths.stepped({ align: 1 }) });
    this.plot = new PLOT(
      {
        width: this.box.clientWidth,
        height: HEIGHT,
        tzDate: (at) => PLOT.tzDate(new Date(at * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: "rates" }, points: { show: !this.bars } },
        scales: { y: { range: (plot, low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [
          { ...axis, size: 26, gap: 6, space: 70, values: axisLabels, grid: { show: false } },
          { ...axis, size: 40, space: 36 },
        ],
        series: [{}, series],
        hooks: { draw: [(plot) => this.drawMarks(plot)], setCursor: [() => this.read()] },
      },
      this.data,
      this.box,
    );
  }

  drawMarks(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const mark of this.marks) {
      const x = Math.round(plot.valToPos(mark.at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = ink(`severity-${mark.severity}`);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  read() {
    const [at, values] = this.data;
    const index = this.plot?.cursor.idx ?? values.length - 1;
    if (values[index] === undefined) return say(this.readout, "");
    say(this.readout, `${rate(values[index])} at ${clock(at[index])}`);
  }
}

const transactions = new Chart("transactions", "Transactions", "series", false);
const refunds = new Chart("refunds", "Refunds", "refund", true);
let latest = null;

export function showRates(live) {
  latest = live;
  const { at, bucket_seconds: bucket } = live.rates;
  const marks = [...live.open_pages, ...live.closed_pages].map((page) => ({
    at: Date.parse(page.opened_at) / 1000,
    severity: page.severity,
  }));
  if (live.now === null) return;
  transactions.show(at, live.rates.transactions, []);
  refunds.show(at, live.rates.refunds, marks);
  say(byId("bucket-note"), `Each step is ${
    bucket === 60 ? "a minute" : `the mean of ${bucket < 3600 ? `${bucket / 60} minutes` : "an hour"}`
  }; the minute under way is left out.`);
  showFigures();
}

/** The same figures for those who read rather than look; only built while they are open. */
function showFigures() {
  if (!byId("figures").open || latest === null) return;
  const { at, transactions: all, refunds: back } = latest.rates;
  const rows = at.map((start, index) => ({ start, all: all[index], back: back[index] })).reverse();
  keyed(byId("figures-rows"), rows, (row) => row.start, () => tableRow(["", "number", "number"]),
    (made, row) => {
      const [start, first, second] = made.children;
      say(start, dateTime(new Date(row.start * 1000).toISOString()).slice(0, 16));
      say(first, rate(row.all));
      say(second, rate(row.back));
    });
}

byId("figures").addEventListener("toggle", showFigures);
