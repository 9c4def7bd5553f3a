// The tree of a trace beside its timeline, as an ARIA tree grid. Only the rows on screen exist.

import { onKeys } from "./keys.js";
import { arrange, count, duration, el, errorMark, hue, named, number, plausible, visible } from "./text.js";

export const KINDS = ["", "internal", "server", "client", "producer", "consumer"];
const DOTS = 50; // events of a span that are shown on its bar
const SPARE = 10; // rows kept ready above and below the screen

export class Waterfall {
  collapsed = new Set(); // span ids
  rows = new Map(); // node -> its element, for those that have one
  visible = []; // nodes that are not inside a collapsed one
  trace = { nodes: [] };

  /** `onSelect(node)` is called with the span that the reader chooses. */
  constructor(grid, onSelect) {
    Object.assign(this, { grid, onSelect, body: grid.querySelector(".rows"), axis: grid.querySelector(".axis") });
    addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => (this.draw(), this.reveal(this.selected))).observe(this.axis);
    this.body.addEventListener("click", (event) => this.clicked(event));
    const move = (step) => this.focus(this.visible[Math.min(this.visible.length - 1, Math.max(0, this.active.row + step))]);
    const page = () => Math.max(1, Math.floor((this.screen().bottom - this.screen().top) / this.height) - 1);
    const isOpen = () => this.active.size > 1 && !this.collapsed.has(this.active.id);
    onKeys(this.body, {
      ArrowDown: ["next span", () => move(1)],
      ArrowUp: ["previous span", () => move(-1)],
      ArrowRight: ["open, or to the child", () => (isOpen() ? move(1) : this.active.size > 1 && this.toggle(this.active))],
      ArrowLeft: ["close, or to the parent", () =>
        (isOpen() ? this.toggle(this.active) : this.active.parent && this.focus(this.active.parent))],
      Home: ["first span", () => move(-Infinity)],
      End: ["last span", () => move(Infinity)],
      PageDown: ["a page down", () => move(page())],
      PageUp: ["a page up", () => move(-page())],
      Enter: ["all about the span; Tab goes there", () => this.select(this.active)],
    });
  }

  /** Show a trace, or a newer state of the same one: what was collapsed, active and on screen stays so. */
  show(trace) {
    const anchor = this.visible[this.firstOnScreen()];
    const before = anchor?.row;
    this.trace = trace;
    this.active = trace.byId.get(this.active?.id) ?? trace.nodes[0];
    for (let above = this.active.parent; above; above = above.parent) if (this.collapsed.has(above.id)) this.active = above;
    this.selected = trace.byId.get(this.selected?.id);
    this.arrange();
    const after = trace.byId.get(anchor?.id)?.row;
    if (before > 0 && after > 0) scrollBy(0, (after - before) * this.height);
  }

  /** Choose a span, or none. */
  select(node) {
    this.selected = node;
    this.draw();
    this.onSelect(node);
  }

  /** Make all spans "collapsed", or all "expanded". */
  setAll(state) {
    const parents = this.trace.nodes.filter(({ size }) => size > 1 && state === "collapsed");
    this.collapsed = new Set(parents.map(({ id }) => id));
    while (parents.length && this.active.parent) this.active = this.active.parent;
    this.arrange();
  }

  toggle(node) {
    if (!this.collapsed.delete(node.id)) this.collapsed.add(node.id);
    this.arrange();
  }

  /** Move the focus to a span, on screen and whatever is collapsed above it; the choice moves along. */
  focus(node) {
    this.active = node;
    if (this.visible[node.row] !== node) {
      for (let above = node.parent; above; above = above.parent) this.collapsed.delete(above.id);
      this.arrange();
    }
    this.reveal(node);
    this.paint();
    this.rows.get(node).focus({ preventScroll: true });
    if (this.selected && this.selected !== node) this.select(node);
  }

  /** Scroll to a span that is not on screen; not to one inside a collapsed one. */
  reveal(node) {
    if (!node || this.visible[node.row] !== node) return;
    const { top, bottom } = this.screen();
    const y = this.body.getBoundingClientRect().top + node.row * this.height;
    if (y < top || y + this.height > bottom) scrollBy({ top: y - (top + bottom) / 2, behavior: "instant" });
  }

  /** Find out which rows there are. */
  arrange() {
    this.visible = [];
    const { nodes } = this.trace;
    for (let i = 0; i < nodes.length; i += this.collapsed.has(nodes[i].id) ? nodes[i].size : 1) {
      nodes[i].row = this.visible.length;
      this.visible.push(nodes[i]);
    }
    this.grid.setAttribute("aria-rowcount", this.visible.length + 1);
    this.body.style.setProperty("--count", this.visible.length);
    this.draw();
  }

  /** Draw everything anew: the axis, and the rows on screen. */
  draw() {
    const style = getComputedStyle(this.body);
    [this.height, this.deepest] = ["--row", "--cap"].map((name) => parseFloat(style.getPropertyValue(name)));
    this.width = this.axis.clientWidth;
    const { total = 0 } = this.trace;
    const step = niceStep(total / Math.max(2, Math.floor(this.width / 110)));
    const ticks = Array.from({ length: total && Math.floor(total / step) + 1 }, (_, i) => i * step);
    this.axis.replaceChildren(...ticks.map((at) =>
      el("span", { class: at > total * 0.9 ? "tick last" : "tick", "--x": at / total }, duration(at))));
    this.body.style.setProperty("--step", total ? step / total : 1);

    const focused = this.body.contains(document.activeElement);
    this.rows.clear();
    this.body.replaceChildren();
    this.paint();
    if (focused) this.rows.get(this.active)?.focus({ preventScroll: true });
  }

  /** Make the rows that are on screen, and the one that has the focus; drop all others. */
  paint() {
    const first = Math.max(0, this.firstOnScreen() - SPARE);
    const last = Math.ceil((innerHeight - this.body.getBoundingClientRect().top) / this.height) + SPARE;
    const wanted = new Set(this.visible.slice(first, Math.max(first, last)));
    if (this.visible.length) wanted.add(this.visible[this.active.row]);
    arrange(this.body, this.rows, [...wanted].sort((a, b) => a.row - b.row), (node) => this.newRow(node));
    for (const [node, row] of this.rows) row.tabIndex = node === this.active ? 0 : -1;
  }

  newRow(node) {
    const { span, service, level, size, error, errorBelow } = node;
    const closed = this.collapsed.has(node.id);
    const row = el("div", {
      role: "row", class: "row", id: `span-${node.id}`,
      "aria-level": level, "aria-posinset": node.position, "aria-setsize": node.siblings, "aria-rowindex": node.row + 2,
      "aria-selected": `${node === this.selected}`, "aria-expanded": size > 1 && `${!closed}`,
      "--hue": hue(service), "--y": node.row, "--level": level - 1,
    },
      el("div", { role: "gridcell", class: "name" },
        el("span", { class: size > 1 ? "twisty" : "twisty leaf", "aria-hidden": "true" }),
        level - 1 > this.deepest && el("span", { class: "soft" }, `level ${level}`),
        el("span", { class: "stripe", "aria-hidden": "true" }),
        (error || errorBelow) && errorMark(!error),
        named(span.name, { class: "title" }),
        closed && el("span", { class: "soft" }, `+${number(size - 1)}`),
        node.orphan && el("span", { class: "note" }, "parent missing"),
        // A process boundary is where the service changes: only there its name is worth the room.
        named(service, { class: node.parent?.service === service ? "service unseen" : "service" })),
      el("div", { role: "gridcell", class: "kind" }, KINDS[span.kind] ?? ""),
      el("div", { role: "gridcell", class: "track" }, ...this.timeline(node)));
    return Object.assign(row, { node });
  }

  /** The bar of a span, its events, and its duration where there is room for all of it. */
  timeline({ span, error, timed, from, length, end }) {
    const { total, first } = this.trace;
    const text = end === 0n ? "no end" : duration(length);
    if (!timed || total === 0) return [el("span", { class: "length" }, timed ? text : "no valid time")];
    const share = (ns) => Math.min(1, Math.max(0, ns / total));
    const [left, right] = [share(from), share(from + Math.max(0, length))];
    const { events = [] } = span;
    const dots = events.filter(({ timeUnixNano = 0 }) => plausible(BigInt(timeUnixNano))).slice(0, DOTS);
    const room = text.length * 7 + 16; // pixels, about
    const place = (1 - right) * this.width > room ? "after" : left * this.width > room ? "before" : "inside";
    const spoken = [`starts at ${duration(from)}`, events.length && count(events.length, "event")];
    return [
      el("span", { class: error ? "bar bad" : "bar", "aria-hidden": "true", "--x": left, "--w": right - left }),
      ...dots.map(({ name = "", timeUnixNano }) => el("span", {
        class: name === "exception" ? "dot bad" : "dot", title: visible(name), "--x": share(Number(BigInt(timeUnixNano) - first)),
      })),
      el("span", { class: `length ${place}`, "--x": { after: right, before: 1 - left, inside: left }[place] }, text),
      el("span", { class: "unseen" }, `, ${spoken.filter(Boolean).join(", ")}`),
    ];
  }

  clicked({ target }) {
    const node = target.closest(".row")?.node;
    if (!node) return;
    this.active = node;
    if (target.matches(".twisty:not(.leaf)")) this.toggle(node);
    else this.select(node);
    this.focus(node);
  }

  /** The part of the window, in its coordinates, that shows rows. */
  screen() {
    const pane = document.querySelector(".pane:not([hidden])")?.getBoundingClientRect();
    return { top: this.axis.offsetHeight, bottom: pane?.left === 0 ? pane.top : innerHeight }; // the axis stays at the top
  }

  firstOnScreen() {
    return Math.max(0, Math.floor(-this.body.getBoundingClientRect().top / this.height));
  }
}

/** The next of 1, 2, 5, 10, 20, 50, … nanoseconds. */
function niceStep(ns) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ns)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= ns);
}
