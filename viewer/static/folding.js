// A part of the page that a button and a key open and close.

/** Let `button` open and close `place`, which `fill` fills before it opens. Returns how to do so, and to go there and back. */
export function foldable(button, place, fill = () => {}) {
  function open(isOpen) {
    if (isOpen) fill();
    place.hidden = !isOpen;
    button.ariaExpanded = isOpen;
  }

  function toggle() {
    if (button.hidden) return;
    open(place.hidden);
    if (place.hidden) button.focus();
    else place.querySelector("button").focus();
  }

  button.addEventListener("click", () => open(place.hidden));
  place.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation(); // it takes back this, and nothing else
    toggle();
  });
  return { open, toggle };
}
