// The page Data: decisions about answers, ratings, and comparisons begun and removed.

import { ask, make, tell } from "/static/sadari.js";

// --- decisions about answers -------------------------------------------------------------------------------------------

for (const form of document.querySelectorAll("form.decide")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const decision = event.submitter.value;
    const text = decision === "corrected" ? form.elements.text.value : "";
    if (decision === "corrected" && !text.trim()) {
      form.elements.text.focus();
      form.elements.text.setCustomValidity(form.elements.text.placeholder);
      form.elements.text.reportValidity();
      form.elements.text.setCustomValidity("");
      return;
    }
    const { run, question, picked } = form.dataset;
    const kept = await ask(`/sadari/review/${run}`, { question: Number(question), decision, text, picked }).catch(() => null);
    if (kept === null) return;
    const button = form.querySelector(`button[value="${decision}"]`);
    const tag = make("span", { class: decision === "discard" ? "tag bad" : "tag" }, button.textContent);
    form.nextElementSibling.replaceChildren(tag, " ", make("span", { class: "quiet-text" }, `${kept.who}, ${kept.time.slice(0, 10)}`));
    const queued = form.closest(".queued");
    if (queued) queued.dataset.decided = decision;
  });
}

for (const group of document.querySelectorAll(".rate")) {
  group.addEventListener("click", async (event) => {
    const rating = event.target.closest("button")?.value;
    if (!rating) return;
    const { run, question } = group.dataset;
    await ask(`/sadari/runs/${run}/rating`, { rating, question: Number(question) }).then(() => location.reload()).catch(() => {});
  });
}

// --- comparisons -------------------------------------------------------------------------------------------------------

const fromRun = document.getElementById("from-run");
if (fromRun) {
  fromRun.elements.run.addEventListener("change", () => {
    const steps = fromRun.elements.run.selectedOptions[0].dataset.steps.split(" ");
    for (const name of ["first", "second"]) fromRun.elements[name].replaceChildren(...steps.map((step) => make("option", {}, step)));
    fromRun.elements.second.selectedIndex = steps.length - 1;
  });
  fromRun.addEventListener("submit", (event) => {
    event.preventDefault();
    const { title, run, first, second } = fromRun.elements;
    begin({ title: title.value, run: Number(run.value), first: first.value, second: second.value });
  });
}

const fromFiles = document.getElementById("from-files");
fromFiles?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [first, second] = await Promise.all(
    ["first", "second"].map(async (name) => {
      const file = fromFiles.elements[name].files[0];
      return { name: file.name, text: await file.text() };
    }),
  );
  begin({ title: fromFiles.elements.title.value, first, second });
});

async function begin(wanted) {
  const made = await ask("/sadari/blind", wanted).catch(() => null);
  if (made) location.assign(`/data/blind/${made.name}`);
}

for (const button of document.querySelectorAll("button.remove")) {
  button.addEventListener("click", async () => {
    if (!confirm(button.dataset.sure)) return;
    await ask(`/sadari/blind/${button.dataset.name}`, undefined, "DELETE").then(() => location.reload()).catch(() => {});
  });
}

const keep = document.getElementById("keep-labels");
keep?.addEventListener("click", async () => {
  const kept = await ask("/sadari/blind/labels", {}).catch(() => null);
  if (kept === null) return;
  const told = keep.dataset.kept.replace("{n}", kept.labels).replace("{file}", kept.file);
  document.getElementById("labels-kept").textContent = kept.is_read ? told : `${told} ${keep.dataset.hint.replace("{file}", kept.file)}`;
  tell(told);
});
