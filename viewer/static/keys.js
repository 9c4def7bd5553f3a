// Keys, and the list of them that the page shows.

import { $, el } from "./text.js";

const SIGNS = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", "-": "−" };
const list = el("dl");
const dialog = el("dialog", { id: "keys", "aria-labelledby": "keys-title" },
  el("h2", { id: "keys-title" }, "Keys"), list, el("form", { method: "dialog" }, el("button", {}, "Close")));
const show = () => dialog.showModal(); // Escape closes it by itself
document.body.append(dialog);
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
$("show-keys").addEventListener("click", show);

/** Let keys that are pressed in `place` do something: `actions` has what, for each key, in words and as a function. */
export function onKeys(place, actions) {
  for (const [key, [words]] of Object.entries(actions)) {
    list.append(el("div", {}, el("dt", {}, el("kbd", {}, SIGNS[key] ?? key)), el("dd", {}, words)));
  }
  place.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search]") && !["ArrowDown", "Escape"].includes(event.key);
    if (typing || dialog.open || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key][1]();
  });
}

onKeys(document, { "?": ["these keys", show] });
