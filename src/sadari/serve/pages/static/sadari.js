// What all pages share: asking the server, telling what failed, language, theme, and the count of waiting approvals.

const csrf = document.querySelector('meta[name="csrf"]').content;
const notice = document.getElementById("notice");

// Show a short message to everybody, those who listen to a screen reader too.
export function tell(text) {
  notice.textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => (notice.textContent = ""), 8000);
}

// Ask the server; the answer as JSON. A refusal is told, unless `more.quiet`, and thrown with its status, its code and the seconds
// after which it may go better. Whoever is not signed in any more is sent to the sign-in, and from there back.
export async function ask(path, body, method = body === undefined ? "GET" : "POST", more = {}) {
  const headers = { "X-CSRF-Token": csrf, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...more.headers };
  const answer = await fetch(path, { ...more, method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    const message = told.error?.message ?? notice.dataset.failed;
    if (answer.status === 401 && location.pathname !== "/signin") signIn();
    if (!more.quiet) tell(message);
    const after = Number(answer.headers.get("Retry-After")) || null;
    throw Object.assign(new Error(message), { status: answer.status, code: told.error?.code, after });
  }
  return more.raw ? answer : answer.json();
}

// To the sign-in, and from there back to this page.
export function signIn() {
  location.assign(`/signin?next=${encodeURIComponent(location.pathname + location.search)}`);
}

// A piece of a page, as HTML that the server made.
export async function piece(path) {
  const answer = await fetch(path);
  if (answer.redirected) signIn();
  if (!answer.ok || answer.redirected) throw Object.assign(new Error(path), { status: answer.status });
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  return holder.content;
}

// An element with attributes and children; text stays text.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function keep(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`;
}

document.getElementById("language").addEventListener("click", () => {
  keep("sadari_language", document.documentElement.lang === "ko" ? "en" : "ko");
  location.reload();
});

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  keep("sadari_theme", root.dataset.theme);
});

const here = document.querySelector(".top nav [aria-current]"); // in sight where the menu has to be moved sideways
if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.clientWidth / 2;

const badge = document.getElementById("waiting");
async function count() {
  const { approvals } = await fetch("/sadari/approvals").then((answer) => (answer.ok ? answer.json() : { approvals: [] }));
  badge.hidden = approvals.length === 0;
  badge.textContent = approvals.length;
  document.dispatchEvent(new CustomEvent("approvals", { detail: approvals }));
}
if (badge) {
  count().catch(() => {});
  setInterval(() => document.hidden || count().catch(() => {}), 5000);
}
