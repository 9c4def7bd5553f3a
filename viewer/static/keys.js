// Keys, and the list of them that the page shows.

import { $, el } from "./text.js";

const SIGNS = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", "-": "−" };

/** Let keys that are pressed in `place` do something: `actions` has what, for each key, in words and as a function. */
export function onKeys(place, actions) {
  for (const [key, [words]] of Object.entries(actions)) {
    $("keys").append(el("dt", {}, el("kbd", {}, SIGNS[key] ?? key)), el("dd", {}, words));
  }
  place.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search]") && event.key !== "Escape";
    const elsewhere = event.ctrlKey || event.metaKey || event.altKey || $("keys").matches(":popover-open");
    if (typing || elsewhere || !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key][1]();
  });
}

onKeys(document, { "?": ["these keys", () => $("keys").showPopover()] });
