// Keyboard shortcuts. They rest while somebody types or holds a modifier, and can be switched off.
// A row of a list is [data-row] with a link inside; actions on it are found by [data-act="re_run"].
import { switchTheme } from "./theme_switch.js";

const STORE = "llm-jobs-keys";
let going = 0;

export function startKeys() {
  const box = document.querySelector("[data-keys-switch]");
  if (box) {
    box.checked = enabled();
    box.addEventListener("change", () => remember(box.checked));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || !enabled() || document.querySelector("dialog[open]")) return;
    if (act(event.key)) event.preventDefault();
  });
}

function act(key) {
  if (going && Date.now() - going < 1500) {
    going = 0;
    const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
    if (link) location.assign(link.href);
    return Boolean(link);
  }
  switch (key) {
    case "/": return focus(document.getElementById("search"));
    case "?": document.getElementById("keys-help")?.showModal(); return true;
    case "g": going = Date.now(); return true;
    case "t": switchTheme(); return true;
    case "j": return move(1);
    case "k": return move(-1);
    case "Enter": return open();
    case "x": return toggle();
    case "u": return press("thumbs_up");
    case "d": return press("thumbs_down");
    case "r": return press("re_run");
    case "e": return press("regenerate");
    case ".": document.dispatchEvent(new CustomEvent("llm-jobs:toggle-live")); return true;
    default: return false;
  }
}

function rows() {
  return [...document.querySelectorAll("[data-row]")];
}

function current() {
  return document.querySelector("[data-row][data-current]");
}

function move(step) {
  const all = rows();
  if (!all.length) return false;
  const now = all.indexOf(current());
  const next = all[Math.min(all.length - 1, Math.max(0, now + (now < 0 ? 1 : step)))];
  all.forEach((row) => delete row.dataset.current);
  next.dataset.current = "yes";
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a")?.focus({ preventScroll: true });
  return true;
}

function open() {
  const row = current();
  if (!row || document.activeElement?.closest("a, button, summary")) return false;
  row.querySelector("a")?.click();
  return true;
}

function toggle() {
  const box = current()?.querySelector('input[type="checkbox"]');
  box?.click();
  return Boolean(box);
}

function press(name) {
  const scope = current() ?? (rows().length ? null : document);
  const button = scope?.querySelector(`[data-act="${name}"]`);
  button?.click();
  return Boolean(button);
}

function focus(field) {
  field?.focus();
  field?.select();
  return Boolean(field);
}

function typing(target) {
  return target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
}

function enabled() {
  try {
    return localStorage.getItem(STORE) !== "off";
  } catch {
    return true;
  }
}

function remember(on) {
  try {
    localStorage.setItem(STORE, on ? "on" : "off");
  } catch {
    // Only for this page then.
  }
}
