// Shows saved traces: files that are dropped on the page, or chosen.

import { $, el } from "./text.js";

const LARGEST = 16 * 1024 * 1024; // bytes, as in serving.py

const say = (...lines) => $("dropped").replaceChildren(...lines.map((line) => el("span", {}, line)));

/** Give the files to the viewer, which has their traces in its list then, and say which it could not read. */
async function send(files) {
  const problems = [];
  for (const file of files) {
    say(...problems, `Reading ${file.name} …`);
    const problem = await trouble(file);
    if (problem) problems.push(`${file.name}: ${problem}`);
  }
  say(...problems);
  if (!problems.length && location.pathname !== "/") location.assign("/");
}

/** What is wrong with a file, in a line; nothing if it could be taken. */
async function trouble(file) {
  if (file.size > LARGEST) return "it has more than 16 MB: show it by python -m viewer FILE";
  try {
    const answer = await fetch("/viewer/files", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    if (answer.ok) return "";
    return (await answer.json()).error.message;
  } catch {
    return "it cannot be read, or the viewer does not answer";
  }
}

const hasFiles = ({ dataTransfer }) => dataTransfer.types.includes("Files");

addEventListener("dragover", (event) => {
  if (hasFiles(event)) event.preventDefault(); // or the browser would open it by itself
});
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  send([...event.dataTransfer.files]);
});
$("file").addEventListener("change", async ({ target }) => {
  await send([...target.files]);
  target.value = ""; // so that the same one can be chosen again
});
