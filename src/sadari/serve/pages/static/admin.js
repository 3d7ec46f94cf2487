// The page of administrators: keys, people, erasing, the integrity of the log, and what administrators did.

import { ask, make, tell } from "/static/sadari.js";

const page = document.getElementById("admin").dataset;
const words = JSON.parse(page.words);
const language = document.documentElement.lang;
const say = (word, values = {}) => (words[word] ?? word).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const dates = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const numbers = new Intl.NumberFormat(language);
const element = (id) => document.getElementById(id);

// Show rows in a table, or that there are none.
function fill(id, rows) {
  const table = element(id);
  table.querySelector("tbody").replaceChildren(...rows);
  table.parentElement.hidden = rows.length === 0;
  document.querySelector(`[data-empty="${id}"]`).hidden = rows.length > 0;
}

// Send a form once; what the server finds wrong stands in the form.
function onSubmit(id, send) {
  const form = element(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button:not([type='button'])");
    const error = form.querySelector(".error");
    error.textContent = "";
    button.disabled = true;
    try {
      await send(form, new FormData(form));
    } catch (fault) {
      error.textContent = fault.message;
    } finally {
      button.disabled = false;
      form.dispatchEvent(new Event("input"));
    }
    showActs();
  });
}

function confirm(title, text, yes, act) {
  const dialog = element("confirm");
  element("confirm-title").textContent = title;
  element("confirm-text").textContent = text;
  element("confirm-yes").textContent = yes;
  element("confirm-yes").onclick = () => {
    dialog.close();
    act();
  };
  dialog.showModal();
  element("confirm-no").focus();
}
element("confirm-no").onclick = () => element("confirm").close();

const list = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);
const number = (text) => (text === "" ? null : Number(text));

// --- keys ------------------------------------------------------------------------------------------------------------

async function showKeys() {
  const { keys } = await ask("/sadari/keys");
  fill("key-list", keys.map(keyRow));
}

function keyRow(one) {
  const { user, role, scope, labels } = one.identity;
  const over = one.revoked ? say("revoked") : one.expires && new Date(one.expires) <= new Date() ? say("expired") : "";
  const good = scope.length ? scope.map((name) => words[`scope_${name}`] ?? name).join(", ") : say("everything");
  const limits = ["requests_per_minute", "concurrent", "tokens_per_day", "money_per_day"].filter((name) => one.identity[name] !== null)
    .map((name) => `${say(name === "requests_per_minute" ? "per_minute" : name)} ${numbers.format(one.identity[name])}`);
  const action = over ? make("span", { class: "tag bad" }, over) : make("button", { type: "button", class: "danger", onclick: () => revoke(one) }, say("revoke"));
  return make("tr", { class: over ? "over" : "" },
    make("td", {}, make("code", {}, one.key)), make("td", {}, user, labels.length ? make("div", { class: "quiet-text" }, labels.join(", ")) : null),
    make("td", {}, say(`role_${role}`)), make("td", {}, good), make("td", {}, limits.join(", ") || "–"),
    make("td", { class: "number" }, numbers.format(one.today.tokens)), make("td", {}, one.expires ? dates.format(new Date(one.expires)) : say("never")), make("td", {}, action));
}

function revoke(one) {
  const about = { user: one.identity.user, key: one.key };
  confirm(say("revoke_title", about), say("revoke_text"), say("revoke"), async () => {
    await ask(`/sadari/keys/${encodeURIComponent(one.key)}/revoke`, {});
    await showKeys();
    showActs();
  });
}

onSubmit("key-form", async (form, data) => {
  const wanted = { user: data.get("user"), role: data.get("role"), days: number(data.get("days")), labels: list(data.get("labels")), scope: data.getAll("scope") };
  for (const name of ["requests_per_minute", "concurrent", "tokens_per_day", "money_per_day"]) wanted[name] = number(data.get(name));
  const { key } = await ask("/sadari/keys", wanted, "POST", { quiet: true });
  element("made-key").value = key;
  element("made").hidden = false;
  form.reset();
  form.closest("details").open = false;
  element("made-copy").focus();
  element("made").scrollIntoView({ block: "center" });
  await showKeys();
});

element("made-copy").onclick = async () => {
  element("made-key").select();
  await navigator.clipboard?.writeText(element("made-key").value).then(() => tell(say("copied")), () => {}); // else it is selected
};
element("made-done").onclick = () => {
  element("made-key").value = "";
  element("made").hidden = true;
};

// --- people ----------------------------------------------------------------------------------------------------------

async function showPeople() {
  const { people } = await ask("/sadari/people");
  fill("person-list", people.map(personRow));
}

function personRow(one) {
  const tags = [one.disabled ? make("span", { class: "tag bad" }, say("disabled")) : null, one.user === page.user ? make("span", { class: "tag" }, say("yourself")) : null];
  return make("tr", { class: one.disabled ? "over" : "" },
    make("td", {}, one.user, " ", ...tags), make("td", {}, say(`role_${one.role}`)), make("td", {}, one.labels.join(", ") || "–"),
    make("td", {}, say(one.has_password ? "by_password" : "by_oidc")), make("td", {}, dates.format(new Date(one.created))),
    make("td", {}, make("button", { type: "button", class: "plain", "aria-label": `${say("change")}: ${one.user}`, onclick: () => change(one) }, say("change"))));
}

onSubmit("person-form", async (form, data) => {
  const wanted = { user: data.get("user"), role: data.get("role"), labels: list(data.get("labels")), password: data.get("password") || null };
  await ask("/sadari/people", wanted, "POST", { quiet: true });
  form.reset();
  form.closest("details").open = false;
  tell(say("saved"));
  await showPeople();
});

let changed = null;
function change(one) {
  changed = one;
  const form = element("change-form");
  form.querySelector(".error").textContent = "";
  element("person-title").textContent = say("change_title", { user: one.user });
  form.role.value = one.role;
  form.labels.value = one.labels.join(", ");
  form.password.value = "";
  form.disabled.checked = one.disabled;
  element("person").showModal();
}
element("person-no").onclick = () => element("person").close();

onSubmit("change-form", async (form) => {
  const wanted = { role: form.role.value, labels: list(form.labels.value), disabled: form.elements.disabled.checked };
  if (form.password.value) wanted.password = form.password.value;
  await ask(`/sadari/people/${encodeURIComponent(changed.user)}`, wanted, "POST", { quiet: true });
  element("person").close();
  tell(say("saved"));
  await showPeople();
});

// A password that nobody guesses: 16 signs that are not mistaken for each other, of 56 kinds.
const SIGNS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
for (const button of document.querySelectorAll("[data-fill]")) {
  button.onclick = () => {
    const drawn = [];
    while (drawn.length < 16) {
      const [byte] = crypto.getRandomValues(new Uint8Array(1));
      if (byte < 256 - (256 % SIGNS.length)) drawn.push(SIGNS[byte % SIGNS.length]);
    }
    const field = element(button.dataset.fill);
    field.value = drawn.join("");
    field.select();
    tell(say("password_made"));
  };
}

// --- erasing and verifying -------------------------------------------------------------------------------------------

const erasing = element("erase-form");
erasing.addEventListener("input", () => {
  const { user, confirm: again } = erasing.elements;
  erasing.querySelector("button").disabled = !user.value || user.value !== again.value;
});
onSubmit("erase-form", async (form, data) => {
  const user = data.get("user");
  const { erased } = await ask(`/sadari/users/${encodeURIComponent(user)}/erase`, { confirm: data.get("confirm") }, "POST", { quiet: true });
  const counts = Object.entries(erased).map(([what, count]) => `${words[`erased_${what}`] ?? what} ${numbers.format(count)}`).join(", ");
  form.reset();
  tell(say("erased", { user, counts }));
});

if (element("looked")?.dataset.time) element("looked").textContent = moments.format(new Date(element("looked").dataset.time));
element("apply")?.addEventListener("click", () => confirm(say("retention_title"), say("retention_text"), say("retention_apply"), async () => {
  element("apply").disabled = true;
  const { runs, due, last } = await ask("/sadari/retention/apply", {});
  element("due").textContent = numbers.format(due);
  element("looked").textContent = moments.format(new Date(last));
  tell(say("retention_done", { runs: numbers.format(runs) }));
  showActs();
}));

onSubmit("log-form", async (form, data) => {
  const found = await ask("/sadari/log/verify", { anchor: data.get("anchor").trim() }, "POST", { quiet: true });
  const counts = { events: numbers.format(found.events), erased: numbers.format(found.erased), faults: numbers.format(found.faults.length) };
  const told = [make("p", { class: found.is_whole ? "good" : "bad" }, say(found.is_whole ? "whole" : "broken", counts))];
  if (found.faults.length) told.push(make("ul", {}, ...found.faults.map((fault) => make("li", {}, fault))));
  told.push(make("p", {}, say("head"), make("code", {}, found.head)));
  element("verified").replaceChildren(...told);
});

// --- what administrators did -----------------------------------------------------------------------------------------

async function showActs() {
  const { acts } = await ask("/sadari/acts");
  fill("act-list", acts.map((act) => make("tr", {},
    make("td", {}, moments.format(new Date(act.time))), make("td", {}, act.by), make("td", {}, words[`act_${act.act.replaceAll(".", "_")}`] ?? act.act),
    make("td", {}, act.on), make("td", {}, Object.entries(act.detail).map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(", ") : value}`).join(" · ")))));
}

for (const show of [showKeys, showPeople, showActs]) show().catch(() => {});
