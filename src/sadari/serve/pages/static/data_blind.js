// Two answers side by side: which is better, by key or by hand. Which system gave which is not known here.

import { ask, make } from "/static/sadari.js";

const place = document.getElementById("blind");
const keys = document.getElementById("keys");
const note = document.getElementById("note");
const shown = { asked: document.getElementById("asked"), left: document.getElementById("left"), right: document.getElementById("right") };
let pair = null;

function chosen(name) {
  return document.querySelector(`input[name="${name}"]:checked`).value;
}

function show({ next, rated, asked }) {
  if (next === null) {
    location.reload();
    return;
  }
  pair = next.pair;
  document.getElementById("progress").value = rated;
  document.getElementById("progress-text").textContent = place.dataset.progress.replace("{rated}", rated).replace("{asked}", asked);
  shown.asked.replaceChildren(
    ...next.messages.map((turn) =>
      make("div", { class: "said" }, make("span", { class: "who-said" }, place.dataset[turn.role]), make("p", {}, turn.content)),
    ),
  );
  shown.left.textContent = next.left || place.dataset.empty;
  shown.right.textContent = next.right || place.dataset.empty;
  const reference = document.getElementById("reference");
  reference.hidden = next.reference.length === 0;
  reference.open = false;
  reference.querySelector(".answer-text").textContent = next.reference.join("\n");
  for (const name of ["left_right", "right_right"]) document.querySelector(`input[name="${name}"][value=""]`).checked = true;
  note.value = "";
}

async function rate(better) {
  if (pair === null) return;
  const [rated, was] = [pair, pair];
  pair = null;
  const body = { pair: rated, better, left_right: chosen("left_right"), right_right: chosen("right_right"), note: note.value };
  const next = await ask(`/sadari/blind/${place.dataset.name}/ratings`, body).catch(() => null);
  if (next === null) {
    pair = was;
    return;
  }
  show(next);
  shown.asked.focus();
}

for (const button of document.querySelectorAll("button[data-better]")) button.addEventListener("click", () => rate(button.dataset.better));

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type='radio'], [type='checkbox']), textarea, select");
  if (!keys.checked || isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const better = { 1: "left", 2: "right", 0: "tie" }[event.key];
  if (better) rate(better);
});

show(await ask(`/sadari/blind/${place.dataset.name}/next`));
