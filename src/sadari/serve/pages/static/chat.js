// The conversation: a question is sent, its answer is shown while it is written, and then as the server renders it.

import { ask, piece, tell } from "/static/sadari.js";

const POLL_MS = 2500;
const MOST_TRIES = 12;
const MOST_WAITS = 300; // for a question that another thread of the server is answering
const LONGEST_WAIT_S = 120;

const chat = document.getElementById("chat");
const log = document.getElementById("log");
const composer = document.getElementById("composer");
const field = document.getElementById("question");
const hint = document.getElementById("hint");
const words = JSON.parse(chat.dataset.words);

let run = chat.dataset.run;
let asking = null; // the question that is being answered: {turn, key, body, stop}

const say = (text, values = {}) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const wait = (seconds, signal) =>
  new Promise((done, fail) => {
    const timer = setTimeout(done, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), fail(signal.reason)), { once: true });
  });
const copy = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

// --- asking ------------------------------------------------------------------------------------------------------------

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(text) {
  document.getElementById("empty")?.remove();
  const turn = copy("live");
  turn.querySelector(".bubble").textContent = text;
  log.append(turn);
  const body = { model: chat.dataset.agent, messages: [{ role: "user", content: text }], stream: true };
  asking = { turn, text, key: newKey(), body: run ? { ...body, sadari: { run } } : body, stop: new AbortController(), question: 0 };
  await goOn(asking);
}

// Ask until there is an answer: with its key a question is asked once, however often it is sent.
async function goOn(one) {
  showButtons(true);
  setHint("");
  for (let tries = 1; ; tries++) {
    try {
      await listen(one);
      return await finish(one);
    } catch (error) {
      if (one.stop.signal.aborted) return;
      try {
        if (!(await mayTryAgain(one, error, tries))) return fail(one, error);
      } catch {
        return; // stopped while it waited
      }
    }
  }
}

// Wait until the next try; whether there is one.
async function mayTryAgain(one, error, tries) {
  const { signal } = one.stop;
  if (error.code === "busy" && tries < MOST_WAITS) {
    await wait(error.after ?? 1, signal);
    return true;
  }
  if (tries >= MOST_TRIES) return false;
  if (error.status === undefined && !error.told) {
    show(one, words.reconnecting);
    await wait(Math.min(8, 2 ** (tries - 1)), signal);
    return true;
  }
  if (!error.after || error.after > LONGEST_WAIT_S || ![429, 503].includes(error.status)) return false;
  for (let seconds = error.after; seconds > 0; seconds--) {
    show(one, say(words.later, { seconds }));
    await wait(1, signal);
  }
  show(one, words.thinking);
  return true;
}

// Read the answer while it is written.
async function listen(one) {
  const more = { raw: true, quiet: true, signal: one.stop.signal, headers: { "Idempotency-Key": one.key } };
  const answer = await ask("/v1/chat/completions", one.body, "POST", more);
  const text = one.turn.querySelector(".text");
  text.textContent = "";
  one.turn.querySelector(".steps ol").replaceChildren();
  show(one, words.thinking);
  for await (const data of events(answer.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw Object.assign(new Error(chunk.error.message), { told: true, code: chunk.error.code });
    const told = chunk.sadari ?? {};
    if (told.run) await begun(one, told);
    if (told.step) showStep(one, told.step);
    const piece = chunk.choices[0]?.delta?.content;
    if (piece) {
      text.append(piece);
      show(one, "");
    }
    scrollAlong();
  }
  throw new TypeError("the stream ended before the answer did");
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const event of whole) if (event.startsWith("data: ")) yield event.slice(6);
  }
}

async function begun(one, told) {
  one.question = told.question;
  if (run === told.run) return;
  run = told.run;
  history.replaceState(null, "", `/?run=${run}`);
  await showConversations();
}

async function finish(one) {
  asking = null;
  showButtons(false);
  const shown = await render(one.turn, one.question).catch(() => null);
  if (shown === null) return tell(words.lost);
  scrollAlong();
  watch(one.turn);
}

function fail(one, error) {
  asking = null;
  showButtons(false);
  if (error.status === 401) return; // on the way to the sign-in
  const answer = one.turn.querySelector(".answer");
  const told = copy("again");
  told.querySelector("p").textContent = reason(error);
  told.querySelector("button").addEventListener("click", () => {
    if (asking) return;
    told.remove();
    asking = one;
    one.stop = new AbortController();
    answer.classList.add("live");
    answer.querySelector(".thinking").hidden = false;
    goOn(one);
    field.focus();
  });
  answer.classList.remove("live");
  answer.removeAttribute("aria-busy");
  show(one, "");
  answer.append(told);
  scrollAlong();
}

function reason(error) {
  if (error.told) return words.model;
  if (error.status === undefined) return words.lost;
  if (error.status === 429) return words.quota;
  if (error.status === 409) return words.open;
  const by = { 400: words.wrong, 403: words.refused, 404: words.gone, 413: words.too_long, 422: words.wrong };
  return by[error.status] ?? words.model;
}

async function stop() {
  const one = asking;
  if (!one) return;
  asking = null;
  one.stop.abort();
  showButtons(false);
  if (!one.question) {
    one.turn.remove();
    field.value ||= one.text;
  } else {
    await ask(`/sadari/runs/${run}/cancel`, {}, "POST", { quiet: true }).catch(() => {}); // over already
    const written = one.turn.querySelector(".text");
    await render(one.turn, one.question).catch(() => tell(words.lost));
    const note = one.turn.querySelector(".answer > .quiet-text");
    if (one.turn.dataset.status === "cancelled" && written.textContent) note.before(written);
    watch(one.turn);
  }
  field.focus();
}

// --- what is shown -----------------------------------------------------------------------------------------------------

function show(one, text) {
  const line = one.turn.querySelector(".thinking");
  line.hidden = !text;
  line.querySelector(".now").textContent = text;
}

function status(name) {
  return document.getElementById("statuses").content.querySelector(`[data-status="${name}"]`)?.textContent ?? name;
}

function showStep(one, step) {
  const steps = one.turn.querySelector(".steps");
  for (const call of step.calls ?? []) {
    const item = copy("step");
    item.dataset.call = call.id;
    item.querySelector(".tool").textContent = call.name;
    item.querySelector(".arguments").textContent = JSON.stringify(call.arguments, null, 2);
    steps.querySelector("ol").append(item);
  }
  const kind = step.kind.replace("call.", "").replace("settled", "succeeded");
  const ids = step.calls ? step.calls.map((call) => call.id) : [step.call];
  for (const item of steps.querySelectorAll("li")) {
    if (!ids.includes(item.dataset.call)) continue;
    const tag = item.querySelector(".tag");
    tag.className = `tag ${kind}`;
    tag.textContent = status(kind);
    item.querySelector(".result").hidden = !step.text;
    item.querySelector(".result pre").textContent = step.text ?? "";
    const tool = item.querySelector(".tool").textContent;
    const now = kind === "proposed" || kind === "started" ? say(words.busy_tool, { tool }) : words.thinking;
    steps.querySelector("summary").textContent = now;
    show(one, now);
  }
  steps.hidden = false;
}

// The answer as the server renders it, in place of what is shown of it.
async function render(turn, question) {
  const wanted = question || turn.dataset.question;
  const made = (await piece(`/conversations/${run}?question=${wanted}`)).querySelector(".turn");
  if (!made) return "";
  const [old, answer] = [turn.querySelector(".answer"), made.querySelector(".answer")];
  const text = answer.outerHTML;
  if (turn.dataset.rendered !== text) old.replaceWith(answer);
  Object.assign(turn.dataset, { ...made.dataset, rendered: text });
  return made.dataset.status;
}

// Look after a question that is not over until it is: a person decides, or another page goes on with it.
async function watch(turn) {
  const isOpen = () => ["waiting", "running"].includes(turn.dataset.status);
  if (!isOpen() || turn.dataset.watched) return showConversations();
  turn.dataset.watched = "yes";
  await showConversations();
  while (isOpen() && turn.isConnected) {
    await wait(POLL_MS / 1000);
    if (!document.hidden) await render(turn).catch(() => {});
  }
  delete turn.dataset.watched;
  setHint(words.answered);
  setTimeout(() => hint.textContent === words.answered && setHint(""), 4000);
  await showConversations();
}

async function showConversations() {
  const made = await piece(`/conversations?run=${encodeURIComponent(run)}`).catch(() => null);
  if (made) document.getElementById("conversations").replaceChildren(made);
}

function showButtons(isAnswering) {
  document.getElementById("send").hidden = isAnswering;
  document.getElementById("stop").hidden = !isAnswering;
}

function setHint(text) {
  if (hint) hint.textContent = text;
}

// Keep the end in sight, unless somebody reads further up.
function scrollAlong() {
  const page = document.scrollingElement;
  if (page.scrollHeight - page.scrollTop - innerHeight < 240) page.scrollTop = page.scrollHeight;
}

// --- writing -----------------------------------------------------------------------------------------------------------

function submit(text = field.value.trim()) {
  if (!text) return;
  const open = log.querySelector('.turn[data-status="waiting"], .turn[data-status="running"]');
  if (asking || open) return setHint(open?.dataset.status === "waiting" ? words.waiting : words.answering);
  if (field.value.trim() === text) field.value = "";
  send(text);
  document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight;
  field.focus();
}

composer?.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
field?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return; // 229: Hangul is being put together
  event.preventDefault();
  submit();
});
document.getElementById("stop")?.addEventListener("click", stop);
document.getElementById("empty")?.addEventListener("click", (event) => {
  const example = event.target.closest(".example");
  if (!example || !field) return;
  submit(example.textContent);
});

// --- in a turn: sources, ratings, what waits ---------------------------------------------------------------------------

const dialog = document.getElementById("passage");

async function showPassage(turn, number) {
  try {
    const made = await piece(`/conversations/${run}/citations/${turn.dataset.question}/${number}`);
    document.getElementById("passage-body").replaceChildren(made);
  } catch {
    return tell(words.passage);
  }
  dialog.showModal();
  dialog.querySelector("h2").focus();
  const mark = dialog.querySelector("mark");
  if (mark) mark.parentElement.scrollTop = mark.offsetTop - mark.parentElement.clientHeight / 3;
}

dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

async function rate(turn, rating, more = {}) {
  await ask(`/sadari/runs/${run}/rating`, { rating, question: Number(turn.dataset.question), ...more });
  const made = await piece(`/conversations/${run}?question=${turn.dataset.question}`);
  turn.querySelector(".rating").replaceWith(made.querySelector(".rating"));
  delete turn.dataset.rendered;
  turn.querySelector(`[data-rate="${rating}"]`).focus();
}

function openForm(turn, isOpen) {
  turn.querySelector(".rating form").hidden = !isOpen;
  const button = turn.querySelector('[data-rate="down"]');
  button.setAttribute("aria-expanded", isOpen);
  if (isOpen) turn.querySelector(".rating form").scrollIntoView({ block: "nearest" });
  (isOpen ? turn.querySelector(".rating textarea") : button).focus();
}

log.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  const turn = event.target.closest(".turn");
  if (!button || !turn) return;
  const { citation, rate: rating } = button.dataset;
  try {
    if (citation) await showPassage(turn, citation);
    else if (rating === "up") await rate(turn, "up");
    else if (rating === "down") openForm(turn, turn.querySelector(".rating form").hidden);
    else if ("close" in button.dataset) openForm(turn, false);
    else if ("cancel" in button.dataset) {
      await ask(`/sadari/runs/${run}/cancel`, {});
      await render(turn);
      setHint("");
      field.focus();
    } else if ("again" in button.dataset) submit(turn.querySelector(".bubble").textContent);
    else if ("resume" in button.dataset) await ask(`/sadari/runs/${run}/resume`, {});
  } catch {
    // told already
  }
});

log.addEventListener("submit", async (event) => {
  event.preventDefault();
  const values = Object.fromEntries(new FormData(event.target));
  await rate(event.target.closest(".turn"), "down", values).catch(() => {});
});

// --- the list of conversations, behind a button where there is no room ---------------------------------------------------

const shower = document.getElementById("show-history");
function showHistory(isOpen) {
  shower.setAttribute("aria-expanded", isOpen);
  document.getElementById("history").classList.toggle("is-open", isOpen);
}
shower.addEventListener("click", () => showHistory(shower.getAttribute("aria-expanded") !== "true"));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || shower.getAttribute("aria-expanded") !== "true") return;
  showHistory(false);
  shower.focus();
});

const last = log.querySelector(".turn:last-child");
if (last) {
  document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight;
  watch(last);
}
if (matchMedia("(hover: hover)").matches) field?.focus({ preventScroll: true });
