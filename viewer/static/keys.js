// Keys that work all over the page, and the list of them.

const dialog = document.getElementById("keys");
const opener = document.getElementById("show-keys");

opener.addEventListener("click", () => dialog.showModal()); // Escape closes it by itself
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

/** Call the action that belongs to a key, unless the reader is writing or has the list of keys open. */
export function onKeys(actions) {
  const all = { "?": () => opener.click(), ...actions };
  document.addEventListener("keydown", (event) => {
    const busy = event.target.matches("input[type=search]") || dialog.open;
    if (busy || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(all, event.key)) return;
    event.preventDefault();
    all[event.key]();
  });
}
