// The page of approvals: what waits appears, is decided, and leaves, without a reload.

import { ask, make, tell } from "/static/sadari.js";

const list = document.getElementById("requests");
const none = document.getElementById("none");
const badge = document.getElementById("waiting");
const words = JSON.parse(list.dataset.words);
const { user } = list.dataset;
const approves = Boolean(list.dataset.approves);
const language = document.documentElement.lang;
const shown = new Map(); // by request: its card
const decided = new Set(); // requests that this page has decided

const say = (word, values = {}) => (words[word] ?? word).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const key = (one) => `${one.run}/${one.call}/${one.kind}/${one.fingerprint}`;
const place = (one) => `/sadari/approvals/${encodeURIComponent(one.run)}/${encodeURIComponent(one.call)}`;

// --- how values read -------------------------------------------------------------------------------------------------

const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(language, { dateStyle: "full", timeZone: "UTC" });
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return say(seconds > 0 ? "at_once" : "just_now");
}

const NAMES = /(^|_|-)(id|no|num|number|code|zip|year|phone)$|[a-z](Id|No|Code)$|번호$|코드$/;
const MONEY = /amount|price|total|fee|cost|refund|payment|won$|금액|가격|요금|비용|합계|원$/i;

// How a value reads, and its exact form where that is another.
function read(value, name, schema, all) {
  if (typeof value === "boolean") return [say(value ? "said_yes" : "said_no")];
  if (typeof value === "number" && !NAMES.test(name)) {
    const currency = typeof all.currency === "string" && /^[A-Z]{3}$/.test(all.currency) ? all.currency : won(name, schema);
    const style = currency ? { style: "currency", currency, maximumFractionDigits: 20 } : { maximumFractionDigits: 20 };
    const text = new Intl.NumberFormat(language, style).format(value);
    return text === String(value) ? [text] : [text, String(value)];
  }
  if (typeof value === "string" && /^\d{4}-\d\d-\d\d$/.test(value)) return [days.format(new Date(value)), value];
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value) && !Number.isNaN(Date.parse(value))) {
    return [moments.format(new Date(value)), value];
  }
  if (value !== null && typeof value === "object") return [make("pre", {}, JSON.stringify(value, null, 2))];
  return [value === "" ? '""' : String(value)];
}

function won(name, schema) {
  const about = `${schema?.title ?? ""} ${schema?.description ?? ""}`;
  return MONEY.test(name) && /(^|[\s(\d])원|KRW|won\b/.test(about) ? "KRW" : "";
}

function table(one) {
  const schemas = one.spec.parameters?.properties ?? {};
  const names = [...new Set([...Object.keys(schemas), ...Object.keys(one.arguments)])].filter((name) => name in one.arguments);
  if (!names.length) return make("p", { class: "about" }, say("no_arguments"));
  const rows = names.map((name) => {
    const schema = schemas[name];
    const [text, exact] = read(one.arguments[name], name, schema, one.arguments);
    const about = schema?.title ? [schema.title, make("small", {}, name)] : [name, schema?.description ? make("small", {}, schema.description) : null];
    const head = make("th", { scope: "row" }, ...about);
    return make("tr", {}, head, make("td", {}, text, exact ? make("small", {}, exact) : null));
  });
  return make("div", { class: "table" }, make("table", { class: "arguments" }, make("tbody", {}, ...rows)));
}

// --- one request -----------------------------------------------------------------------------------------------------

const isJudge = (ruling) => ruling.by === "judge" || ruling.by === "Judge";

function reasons(one) {
  const told = [];
  if (one.kind === "unknown") told.push([null, say(approves ? "why_unknown" : "why_unknown_user")]);
  const asking = one.rulings.filter((ruling) => ruling.decision === "ask");
  const others = asking.filter((ruling) => !isJudge(ruling)); // the judge is told of by itself
  for (const ruling of others.length ? others : asking) {
    const address = /^nobody gave the address (.*), which may carry out/s.exec(ruling.reason);
    let text = ruling.reason;
    if (ruling.by === "tool") text = say(one.effect === "read" ? "why_author" : "why_changes");
    else if (ruling.by === "taint") text = address ? say("why_address", { address: address[1] }) : say("why_taint");
    told.push([ruling.by, text]);
  }
  if (one.reason.includes("the agent was changed")) told.push(["changed", say("why_changed")]);
  if (!told.length) told.push([null, one.reason]);
  return make("ul", {}, ...told.map(([by, text]) => {
    const who = by ? make("strong", {}, `${words[`by_${by}`] ?? by}: `) : null;
    return make("li", {}, who, text);
  }));
}

function judged(one) {
  const ruling = one.rulings.findLast(isJudge);
  if (!ruling) return make("p", { class: "about quiet-text" }, say("judge_none"));
  const kind = { allow: "good", ask: "warn", refuse: "bad" }[ruling.decision];
  return make("p", { class: `about ${kind}` }, ruling.reason || say("judge_allow"));
}

function turns(said) {
  return make("div", { class: "turns" }, ...said.map((turn) => {
    const role = turn.tool ? `${say("role_tool")} · ${turn.tool}` : say(`role_${turn.role}`);
    const calls = turn.calls.length ? make("p", { class: "quiet-text" }, say("calls", { names: turn.calls.join(", ") })) : null;
    return make("div", { class: `turn ${turn.role}` }, make("div", { class: "role" }, role), turn.content ? make("p", {}, turn.content) : null, calls);
  }));
}

function conversation(one) {
  const part = one.part.length ? [make("h3", {}, say("part")), turns(one.part)] : [];
  return make("details", {}, make("summary", {}, say("conversation")), turns(one.conversation), ...part);
}

function times(one) {
  const since = one.since ? say("asked_at", { ago: ago(one.since) }) : "";
  const until = one.expires && one.kind === "approval" ? say("until", { time: moments.format(new Date(one.expires)), left: ago(one.expires) }) : "";
  return [since, until].filter(Boolean).join(" · ");
}

function card(one) {
  const id = `request-${shown.size}-${Math.random().toString(36).slice(2)}`;
  const risk = one.effect === "irreversible" || one.effect === "unknown" ? "bad" : one.effect === "write" ? "warn" : "";
  const edited = one.edited_by ? make("span", { class: "tag warn" }, say("edited", { by: one.edited_by })) : null;
  const head = make("div", { class: "row" }, make("h2", { id }, one.tool), make("span", { class: `tag ${risk}` }, say(`effect_${one.effect}`)), edited,
    make("span", { class: "quiet-text times" }, times(one)));
  const about = one.spec.description ? make("p", { class: "about quiet-text" }, one.spec.description) : null;
  const what = make("div", {}, make("h3", {}, say("arguments")), table(one));
  const why = make("div", {}, make("h3", {}, say("why")), reasons(one), make("h3", {}, say("judge")), judged(one));
  const who = make("div", {}, make("h3", {}, say("asked", { user: one.user || say("unnamed") })), make("p", { class: "question" }, one.question));
  const article = make("article", { class: `card request ${one.effect}`, tabindex: "-1", "aria-labelledby": id },
    head, about, make("div", { class: "sides" }, what, make("div", {}, why, who)), conversation(one));
  article.append(...actions(one, article));
  return article;
}

// --- deciding --------------------------------------------------------------------------------------------------------

function actions(one, article) {
  if (!approves) return [make("p", { class: "quiet-text" }, say("waits_for_other"))];
  if (one.four_eyes && one.user === user) return [make("p", { class: "warn" }, say("four_eyes"))];
  if (one.kind === "unknown") return [settling(one, article)];
  const asks = one.effect === "irreversible" || one.effect === "unknown";
  const approve = make("button", { type: "button", "aria-keyshortcuts": "A", onclick: () => (asks ? confirm(one, article) : approveIt(one, article)) },
    say(asks ? "approve_dots" : "approve"));
  const forms = { deny: denying(one, article), edit: editing(one, article) };
  const open = (name) => {
    for (const [other, form] of Object.entries(forms)) form.hidden = other !== name || !form.hidden;
    buttons.forEach(([other, button]) => button.setAttribute("aria-expanded", String(!forms[other].hidden)));
    if (!forms[name].hidden) forms[name].querySelector("input, textarea, select, button").focus();
  };
  const buttons = Object.keys(forms).map((name) => [name, make("button", {
    type: "button", class: name === "deny" ? "danger" : "plain", "aria-expanded": "false", "aria-keyshortcuts": name[0].toUpperCase(), onclick: () => open(name),
  }, say(name))]);
  article.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const name = { a: "approve", d: "deny", e: "edit" }[event.key.toLowerCase()];
    if (!name || article.dataset.sent) return;
    event.preventDefault();
    if (name === "approve") approve.click();
    else open(name);
  });
  const hint = make("span", { class: "hint" }, say("keys"));
  return [make("div", { class: "row actions" }, approve, ...buttons.map(([, button]) => button), hint), forms.deny, forms.edit];
}

const approveIt = (one, article) => send(one, article, { decision: "approve", fingerprint: one.fingerprint });

function confirm(one, article) {
  const dialog = document.getElementById("confirm");
  const call = document.getElementById("confirm-call");
  call.replaceChildren(make("p", {}, make("strong", {}, one.tool)), table(one));
  document.getElementById("confirm-yes").onclick = () => {
    dialog.close();
    if (article.isConnected) approveIt(one, article);
    else tell(say("told_gone"));
  };
  document.getElementById("confirm-no").onclick = () => dialog.close();
  dialog.showModal();
  document.getElementById("confirm-no").focus(); // the safe one: Enter alone consents to nothing
}

function denying(one, article) {
  const reason = make("textarea", { rows: "2", maxlength: "2000", id: `${key(one)}-reason` });
  return form(article, "deny_send", [make("label", { for: reason.id }, say("deny_reason")), reason], () => ({
    decision: "deny", fingerprint: one.fingerprint, reason: reason.value,
  }), one, "danger");
}

function settling(one, article) {
  const name = `${key(one)}-happened`;
  const choice = (value, word) => make("label", { class: "choice" }, make("input", { type: "radio", name, value, required: true }), say(word));
  const told = make("textarea", { rows: "2", maxlength: "8000", id: `${key(one)}-told` });
  const fields = [
    make("fieldset", {}, make("legend", {}, say("settle_question")), choice("yes", "settle_yes"), choice("no", "settle_no")),
    make("label", { for: told.id }, say("settle_told")), told,
  ];
  const made = form(article, "settle_send", fields, () => ({
    decision: "settle", happened: made.querySelector("input:checked").value === "yes", told: told.value,
  }), one);
  made.hidden = false;
  made.querySelector(".cancel").remove();
  return made;
}

function editing(one, article) {
  const fields = editors(one);
  const inner = [make("p", { class: "quiet-text" }, say("edit_told")), ...fields.map((field) => field.element)];
  return form(article, "edit_send", inner, () => {
    const made = {};
    for (const field of fields) {
      const value = field.value();
      if (field.name === "") Object.assign(made, value);
      else if (value !== undefined) made[field.name] = value;
    }
    return { decision: "edit", fingerprint: one.fingerprint, arguments: made };
  }, one);
}

// A field for each argument; one for all of them where the tool has no schema.
function editors(one) {
  const schemas = one.spec.parameters?.properties;
  if (!schemas) return [json(one, "", one.arguments, say("arguments"))];
  const required = new Set(one.spec.parameters.required ?? []);
  return [...new Set([...Object.keys(schemas), ...Object.keys(one.arguments)])].map((name) => editor(one, name, schemas[name] ?? {}, required.has(name)));
}

function editor(one, name, schema, required) {
  const value = one.arguments[name];
  const plain = withoutNull(schema);
  const id = `${key(one)}-${name}`;
  const label = make("label", { for: id }, plain.title ?? name, plain.description ? make("small", { class: "quiet-text" }, ` ${plain.description}`) : null);
  const field = (input, read) => ({ name, element: make("div", {}, label, input), value: read });
  const text = value === undefined || value === null ? "" : String(value);
  if (Array.isArray(plain.enum) || plain.type === "boolean") {
    const choices = plain.enum ?? [true, false];
    const options = choices.map((choice, i) => make("option", { value: String(i), selected: choice === value }, typeof choice === "boolean" ? say(choice ? "said_yes" : "said_no") : String(choice)));
    const empty = required && choices.includes(value) ? [] : [make("option", { value: "", selected: !choices.includes(value) }, say("left_out"))];
    const select = make("select", { id, required }, ...empty, ...options);
    return field(select, () => (select.value === "" ? undefined : choices[Number(select.value)]));
  }
  if (plain.type === "number" || plain.type === "integer") {
    const input = make("input", { id, type: "number", required, step: plain.type === "integer" ? "1" : "any", min: plain.minimum, max: plain.maximum, value: text });
    return field(input, () => (input.value === "" ? undefined : Number(input.value)));
  }
  if (plain.type === "string") {
    const isLong = text.length > 80 || text.includes("\n");
    const input = isLong ? make("textarea", { id, rows: "4", required }, text) : make("input", { id, type: "text", required, maxlength: plain.maxLength, value: text });
    return field(input, () => (input.value === "" && !required ? undefined : input.value));
  }
  return json(one, name, value, plain.title ?? name);
}

function json(one, name, value, title) {
  const id = `${key(one)}-${name}-json`;
  const area = make("textarea", { id, rows: "6", spellcheck: "false" }, value === undefined ? "" : JSON.stringify(value, null, 2));
  const read = () => {
    if (area.value.trim() === "" && name !== "") return undefined;
    try {
      return JSON.parse(area.value);
    } catch {
      throw new Error(say("json_wrong", { name: title }));
    }
  };
  return { name, element: make("div", {}, make("label", { for: id }, `${title} (${say("edit_json")})`), area), value: read };
}

// A schema that also takes null, without that.
function withoutNull(schema) {
  const kinds = (schema.anyOf ?? []).filter((kind) => kind.type !== "null");
  const plain = kinds.length === 1 ? { ...schema, ...kinds[0] } : schema;
  const types = Array.isArray(plain.type) ? plain.type.filter((type) => type !== "null") : [plain.type];
  return { ...plain, type: types.length === 1 ? types[0] : undefined };
}

function form(article, word, fields, body, one, kind = "") {
  const error = make("p", { class: "error", role: "alert" });
  const cancel = make("button", { type: "button", class: "quiet cancel", onclick: () => {
    made.hidden = true;
    article.querySelectorAll("[aria-expanded]").forEach((button) => button.setAttribute("aria-expanded", "false"));
    article.focus();
  } }, say("cancel"));
  const submit = (event) => {
    event.preventDefault();
    error.textContent = "";
    try {
      send(one, article, body(), error);
    } catch (fault) {
      error.textContent = fault.message;
    }
  };
  const made = make("form", { class: "inner", hidden: true, onsubmit: submit }, ...fields, error, make("div", { class: "row" }, make("button", { class: kind }, say(word)), cancel));
  return made;
}

// Send a decision once; nothing in the card can be pressed until the server has answered.
async function send(one, article, decision, error) {
  if (article.dataset.sent) return;
  article.dataset.sent = "yes";
  const buttons = [...article.querySelectorAll("button")];
  buttons.forEach((button) => (button.disabled = true));
  try {
    await ask(place(one), decision);
    decided.add(key(one));
    leave(key(one));
    tell(say(`told_${decision.decision}`));
    [0, 400, 1500].forEach((wait) => setTimeout(refresh, wait));
    setTimeout(showHistory, 1500);
  } catch (fault) {
    delete article.dataset.sent;
    buttons.forEach((button) => (button.disabled = false));
    if (fault.status === 404 || fault.status === 409) await tellWhoWasFirst(one);
    else if (error) error.textContent = fault.message;
  }
  showHistory();
}

async function tellWhoWasFirst(one) {
  const { decisions } = await ask("/sadari/decisions");
  const first = decisions.find((past) => past.run === one.run && past.call === one.call);
  await refresh();
  if (first && !shown.has(key(one))) tell(say("told_second", { by: first.by || say("nobody"), decision: say(`decision_${first.decision}`) }));
}

// --- the list --------------------------------------------------------------------------------------------------------

function leave(name) {
  const article = shown.get(name);
  shown.delete(name);
  if (!article) return;
  const next = article.nextElementSibling ?? article.previousElementSibling;
  const hadFocus = article.contains(document.activeElement);
  article.remove();
  none.hidden = shown.size > 0;
  if (hadFocus) (next ?? document.getElementById("main")).focus();
}

let turn = Promise.resolve();
const show = (waiting) => (turn = turn.then(() => update(waiting)).catch(() => {}));

async function update(waiting) {
  const now = new Map(waiting.map((one) => [key(one), one]));
  for (const name of [...shown.keys()]) {
    if (now.has(name)) continue;
    leave(name);
    if (!decided.has(name)) {
      tell(say("told_gone"));
      showHistory();
    }
  }
  const isFirst = !list.dataset.ready;
  for (const [name, one] of now) {
    if (shown.has(name)) shown.get(name).querySelector(".times").textContent = times(one);
    else if (!decided.has(name)) await enter(name, one, isFirst);
  }
  list.dataset.ready = "yes";
  none.hidden = shown.size > 0;
  badge.hidden = shown.size === 0;
  badge.textContent = shown.size;
}

async function enter(name, one, isFirst) {
  const answer = await fetch(place(one));
  if (!answer.ok) return; // decided meanwhile
  const article = card(await answer.json());
  shown.set(name, article);
  list.append(article); // at the end: what a person is about to press stays where it is
  if (!isFirst) tell(say("told_new"));
}

async function refresh() {
  const { approvals } = await ask("/sadari/approvals");
  await show(approvals);
}

document.addEventListener("approvals", (event) => {
  if (event.detail.length || !shown.size) show(event.detail);
  else refresh().catch(() => {}); // an empty list may as well be a failed request
});

// --- the history -----------------------------------------------------------------------------------------------------

async function showHistory() {
  const { decisions } = await ask("/sadari/decisions");
  const history = document.getElementById("history");
  history.hidden = decisions.length === 0;
  document.getElementById("no-history").hidden = decisions.length > 0;
  history.querySelector("tbody").replaceChildren(...decisions.map((one) => {
    const call = Object.entries(one.arguments).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
    const why = one.reason && one.decision !== "edit" ? make("div", { class: "quiet-text" }, one.reason) : null;
    return make("tr", {},
      make("td", {}, moments.format(new Date(one.time))), make("td", {}, say(`decision_${one.decision}`), why),
      make("td", {}, make("code", {}, one.tool), call ? make("div", { class: "quiet-text" }, call) : null), make("td", {}, one.user),
      make("td", {}, one.by || say("nobody")), make("td", {}, say(`status_${one.status}`)));
  }));
}

showHistory().catch(() => {});
