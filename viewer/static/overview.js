// A narrow picture of a whole trace, and choosing a stretch of time with the pointer.

import { drawn } from "./path.js";
import { $, el } from "./text.js";

const canvas = $("overview").querySelector("canvas");
const frame = $("overview").querySelector(".frame");
const DRAGGED = 5; // pixels; less is a click

/** Draw a line for each of these nodes in a stretch of time; the critical path, errors and the hits of a search stand out. */
export function drawOverview(nodes, { from, length }, colour) {
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  const style = getComputedStyle(canvas); // knows light and dark
  const services = new Map();
  for (const [service, { "--hue": hue, "--tone": tone }] of colour) {
    canvas.style.setProperty("--hue", hue);
    canvas.style.setProperty("--tone", tone);
    services.set(service, style.borderTopColor);
  }
  const step = height / nodes.length;
  const timed = [...nodes.entries()].filter(([, { from }]) => !Number.isNaN(from));
  const errorsLast = [...timed.filter(([, { error }]) => !error), ...timed.filter(([, { error }]) => error)];
  for (const [i, node] of errorsLast) {
    pen.fillStyle = node.error ? style.color : services.get(node.service);
    pen.fillRect(((node.from - from) / length) * width, i * step, Math.max(2, (node.length / length) * width || 0), Math.max(1, step * 0.7));
    pen.fillStyle = style.outlineColor;
    for (const { left, right } of drawn(node.path, { from, length })) {
      pen.fillRect(Math.floor(left * width), Math.floor((i + 0.3) * step), Math.max(1, (right - left) * width), Math.max(1, Math.floor(step * 0.3)));
    }
    if (!node.hit) continue;
    pen.fillStyle = style.caretColor;
    pen.fillRect(0, i * step - 1, 8, Math.max(2, step));
  }
}

/** Show which part of it is on the screen, in shares of the whole. */
export function drawFrame(left, width, top, height) {
  for (const [name, share] of Object.entries({ left, width, top, height })) {
    frame.style.setProperty(`--${name}`, Math.min(1, Math.max(0, share)));
  }
}

/** Let the reader drag over an element: `chosen` gets from where to where, in shares of its width, and `clicked` how far down a click was. */
export function onDrag(element, chosen, clicked = () => {}) {
  const band = el("div", { class: "band", hidden: true, "aria-hidden": "true" });
  let began;
  const place = ({ clientX }) => {
    const { left, width } = element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / width));
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    began = event;
    element.setPointerCapture(event.pointerId);
    element.append(band);
  });
  element.addEventListener("pointermove", (event) => {
    if (!began) return;
    const [from, to] = [place(began), place(event)].sort((a, b) => a - b);
    band.style.left = `${100 * from}%`;
    band.style.width = `${100 * (to - from)}%`;
    band.hidden = Math.abs(event.clientX - began.clientX) < DRAGGED;
  });
  element.addEventListener("pointerup", (event) => {
    if (!began) return;
    const { top, height } = element.getBoundingClientRect();
    if (band.hidden) clicked((event.clientY - top) / height);
    else chosen(...[place(began), place(event)].sort((a, b) => a - b));
    end();
  });
  element.addEventListener("pointercancel", end);

  function end() {
    began = undefined;
    band.hidden = true;
  }
}
