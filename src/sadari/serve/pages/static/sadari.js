// What all pages share: asking the server, telling what failed, language, theme, and the count of waiting approvals.

const csrf = document.querySelector('meta[name="csrf"]').content;
const notice = document.getElementById("notice");

// Show a short message to everybody, those who listen to a screen reader too.
export function tell(text) {
  notice.textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => (notice.textContent = ""), 8000);
}

// Ask the server; the answer as JSON. A refusal is told and thrown.
export async function ask(path, body, method = body === undefined ? "GET" : "POST", more = {}) {
  const headers = { "X-CSRF-Token": csrf, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...more.headers };
  const answer = await fetch(path, { ...more, method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    const message = told.error?.message ?? notice.dataset.failed;
    tell(message);
    throw Object.assign(new Error(message), { status: answer.status });
  }
  return more.raw ? answer : answer.json();
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
