// The tree of a trace beside its timeline, as an ARIA tree grid. Only the rows on screen exist.

import { colour, count, duration, el, errorMark, named, plausible, visible } from "./text.js";

export const KINDS = ["", "internal", "server", "client", "producer", "consumer"];
const DOTS = 50; // events of a span that are shown on its bar
const SPARE = 10; // rows kept ready above and below the screen

export class Waterfall {
  /** `onSelect(node)` is called with the span that the reader chooses. */
  constructor(grid, onSelect) {
    this.body = grid.querySelector(".rows");
    this.axis = grid.querySelector(".axis");
    this.grid = grid;
    this.onSelect = onSelect;
    this.collapsed = new Set(); // span ids
    this.rows = new Map(); // node -> its element, for those that have one
    this.following = false; // whether the choice moves along with the focus
    this.trace = { nodes: [] };

    addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.axis);
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Show a trace, or a newer state of the same one: what was collapsed, active and on screen stays so. */
  show(trace) {
    const anchor = this.visible?.[this.firstOnScreen()];
    const before = anchor?.row;
    this.trace = trace;
    this.active = trace.byId.get(this.active?.id) ?? trace.nodes[0];
    this.selected = trace.byId.get(this.selected?.id);
    this.arrange();
    const after = trace.byId.get(anchor?.id)?.row;
    if (before > 0 && after > 0) scrollBy(0, (after - before) * this.height);
  }

  /** Bring the span on screen, whatever is collapsed above it, and move the focus there. */
  go(node) {
    for (let above = node.parent; above; above = above.parent) this.collapsed.delete(above.id);
    this.arrange();
    this.focus(node);
  }

  /** Choose a span, or none. */
  select(node) {
    this.selected = node;
    this.following = Boolean(node);
    this.draw();
    this.onSelect(node);
  }

  collapseAll() {
    for (const node of this.trace.nodes) if (node.size > 1) this.collapsed.add(node.id);
    while (this.active?.parent) this.active = this.active.parent;
    this.arrange();
  }

  expandAll() {
    this.collapsed.clear();
    this.arrange();
  }

  toggle(node, open = this.collapsed.has(node.id)) {
    this.collapsed[open ? "delete" : "add"](node.id);
    this.arrange();
  }

  focus(node) {
    this.active = node;
    const { top, bottom } = this.screen();
    const y = this.body.getBoundingClientRect().top + node.row * this.height;
    if (y < top || y + this.height > bottom) scrollBy({ top: y - (top + bottom) / 2, behavior: "instant" });
    this.paint();
    this.rows.get(node).focus({ preventScroll: true });
    if (this.following && this.selected !== node) this.select(node);
  }

  /** Find out which rows there are. */
  arrange() {
    this.visible = [];
    const { nodes } = this.trace;
    for (let i = 0; i < nodes.length; ) {
      nodes[i].row = this.visible.length;
      this.visible.push(nodes[i]);
      i += this.collapsed.has(nodes[i].id) ? nodes[i].size : 1;
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
    this.drawAxis();
    for (const [node, row] of this.rows) {
      if (this.visible?.[node.row] === node) this.fill(row, node);
    }
    this.paint();
  }

  drawAxis() {
    const { total = 0 } = this.trace;
    const step = niceStep(total / Math.max(2, Math.floor(this.width / 110)));
    const ticks = [];
    for (let at = 0; at <= total && total > 0; at += step) {
      const tick = el("span", { class: at > total * 0.9 ? "tick last" : "tick" }, duration(at));
      tick.style.setProperty("--x", at / total);
      ticks.push(tick);
    }
    this.axis.replaceChildren(...ticks);
    this.body.style.setProperty("--step", total > 0 ? step / total : 1);
  }

  /** Make the rows that are on screen, and the one that has the focus; drop all others. */
  paint() {
    if (!this.visible) return;
    const first = Math.max(0, this.firstOnScreen() - SPARE);
    const last = Math.ceil((innerHeight - this.body.getBoundingClientRect().top) / this.height) + SPARE;
    const wanted = new Set(this.visible.slice(first, Math.max(first, last)));
    if (this.active) wanted.add(this.visible[this.active.row]);
    for (const [node, row] of this.rows) {
      if (!wanted.has(node)) row.remove(), this.rows.delete(node);
    }
    let place = this.body.firstElementChild;
    for (const node of [...wanted].sort((a, b) => a.row - b.row)) {
      let row = this.rows.get(node);
      if (!row) {
        row = this.fill(el("div", { role: "row", class: "row" }), node);
        this.rows.set(node, row);
      }
      row.tabIndex = node === this.active ? 0 : -1;
      if (row === place) place = place.nextElementSibling;
      else this.body.insertBefore(row, place);
    }
  }

  fill(row, node) {
    const { span, service, level, size } = node;
    const closed = this.collapsed.has(node.id);
    const facts = {
      id: `span-${node.id}`,
      "aria-level": level,
      "aria-posinset": node.position,
      "aria-setsize": node.siblings,
      "aria-rowindex": node.row + 2,
      "aria-selected": node === this.selected,
    };
    for (const [key, value] of Object.entries(facts)) row.setAttribute(key, value);
    if (size > 1) row.setAttribute("aria-expanded", !closed);
    row.node = node;
    row.style.setProperty("--y", node.row);
    row.style.setProperty("--level", level - 1);
    row.replaceChildren(
      el("div", { role: "gridcell", class: "name" },
        el("span", { class: size > 1 ? "twisty" : "twisty leaf", "aria-hidden": true }),
        level - 1 > this.deepest && el("span", { class: "soft" }, `level ${level}`),
        el("span", { class: "stripe", "aria-hidden": true }),
        node.error && errorMark(),
        !node.error && node.errorBelow && errorMark(true),
        named(span.name ?? "", { class: "title" }),
        closed && el("span", { class: "soft" }, `+${(size - 1).toLocaleString("en")}`),
        node.orphan && el("span", { class: "note" }, "parent missing"),
        // A process boundary is where the service changes: only there its name is worth the room.
        named(service, { class: node.parent?.service === service ? "service unseen" : "service" })),
      el("div", { role: "gridcell", class: "kind" }, KINDS[span.kind] ?? ""),
      el("div", { role: "gridcell", class: "track" }, ...this.timeline(node)),
    );
    return colour(row, service);
  }

  /** The bar of a span, its events, and its duration where there is room for all of it. */
  timeline(node) {
    const { total } = this.trace;
    if (!node.timed || total === 0) {
      return [el("span", { class: "length" }, node.timed ? lengthOf(node) : "no valid time")];
    }
    const share = (ns) => Math.min(1, Math.max(0, ns / total));
    const [from, to] = [share(node.from), share(node.from + Math.max(0, node.length))];
    const bar = el("span", { class: node.error ? "bar bad" : "bar", "aria-hidden": true });
    bar.style.setProperty("--x", from);
    bar.style.setProperty("--w", to - from);
    const { events = [] } = node.span;
    const dots = events.filter(timed).slice(0, DOTS).map((event) => {
      const dot = el("span", { class: event.name === "exception" ? "dot bad" : "dot", title: visible(event.name ?? "") });
      dot.style.setProperty("--x", share(Number(BigInt(event.timeUnixNano) - this.trace.first)));
      return dot;
    });
    const text = lengthOf(node);
    const room = text.length * 7 + 16; // pixels, about
    const place = (1 - to) * this.width > room ? "after" : from * this.width > room ? "before" : "inside";
    const label = el("span", { class: `length ${place}` }, text);
    label.style.setProperty("--x", place === "after" ? to : place === "before" ? 1 - from : from);
    const spoken = [`starts at ${duration(node.from)}`, events.length && count(events.length, "event")];
    return [bar, ...dots, label, el("span", { class: "unseen" }, `, ${spoken.filter(Boolean).join(", ")}`)];
  }

  clicked(event) {
    const node = event.target.closest(".row")?.node;
    if (!node) return;
    if (event.target.matches(".twisty:not(.leaf)")) {
      this.active = node;
      this.toggle(node);
    } else {
      this.select(node);
    }
    this.focus(node);
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { active, visible } = this;
    const open = active.size > 1 && !this.collapsed.has(active.id);
    const page = Math.max(1, Math.floor((this.screen().bottom - this.screen().top) / this.height) - 1);
    const move = (step) => this.focus(visible[Math.min(visible.length - 1, Math.max(0, active.row + step))]);
    const actions = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      PageDown: () => move(page),
      PageUp: () => move(-page),
      Home: () => move(-Infinity),
      End: () => move(Infinity),
      ArrowRight: () => (open ? move(1) : active.size > 1 && this.toggle(active, true)),
      ArrowLeft: () => (open ? this.toggle(active, false) : active.parent && this.focus(active.parent)),
      Enter: () => this.select(active),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  }

  /** The part of the window, in its coordinates, that shows rows. */
  screen() {
    const pane = document.querySelector(".pane:not([hidden])")?.getBoundingClientRect();
    return {
      top: this.axis.offsetHeight, // the axis stays at the top
      bottom: pane?.left === 0 ? pane.top : innerHeight,
    };
  }

  firstOnScreen() {
    return Math.max(0, Math.floor(-this.body.getBoundingClientRect().top / this.height));
  }
}

const timed = ({ timeUnixNano = "0" }) => plausible(BigInt(timeUnixNano));

const lengthOf = ({ end, length }) => (end === 0n ? "no end" : duration(length));

/** The next of 1, 2, 5, 10, 20, 50, … nanoseconds. */
function niceStep(ns) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ns)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= ns);
}
