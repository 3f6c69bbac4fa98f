// A chat's page, and the box of a new chat. The page is whole without this: forms, and the thread as
// the server shows it. With it the thread follows the chat's event stream, an answer appears while it
// is written, and acts (`data-chat-act`, the composer) leave the page where it is.
import { say } from "./forms.js";
import { openStream, reach } from "./reach.js";
import { ask, become, elements } from "./refetch.js";

const NEAR_END = 500; // characters left when the counter appears
const FOLLOW_PX = 100; // scrolled up further than this, one reads; nothing moves then
const AWAY_MS = 15000;
const LONGEST_AWAY_MS = 60000;
const AGAIN_MS = 4000;
const HIDDEN_MS = 30000;
const PHRASE_MS = 4000;
const PHRASES = ["The assistant is answering…", "Reading what was said…", "Looking for the right words…", "Still at it…"];

const answer = { id: "", text: "", seen: 0 };
let source = null;
let following = true;
let sending = false;
let asking = null;
let askAgain = false;
let phrase = 0;
let resting = 0;
let away = AWAY_MS;

const chat = document.getElementById("chat");
const composer = document.querySelector("[data-composer]");

if (composer) startComposer();
if (chat) startChat();
else setTimeout(watchAvailability, AWAY_MS);

function startChat() {
  document.addEventListener("submit", onAct);
  addEventListener("scroll", () => { following = distance() < FOLLOW_PX; }, { passive: true });
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && follow());
  document.addEventListener("visibilitychange", onLook);
  setInterval(turnPhrase, PHRASE_MS);
  dress();
  if (!location.hash) toEnd("instant");
  follow();
  setTimeout(watchAvailability, AWAY_MS);
}

// --- following the chat

function follow() {
  rest();
  source = openStream(chat.dataset.liveChat);
  source.onopen = () => fresh("live", "Live");
  source.onerror = () => {
    fresh("lost", "Disconnected — retrying");
    if (source?.readyState === EventSource.CLOSED) setTimeout(comeBack, AGAIN_MS);
  };
  source.addEventListener("snapshot", (event) => {
    const told = JSON.parse(event.data);
    const signature = told.message_ids.map((id) => `${id}:${told.messages[id].status}`).join(",");
    if (signature !== thread().dataset.signature || told.title !== thread().dataset.title) refresh();
  });
  for (const name of ["user_message", "turn_started", "turn_waiting", "title"]) source.addEventListener(name, refresh);
  for (const name of ["message_completed", "message_failed", "message_cancelled"]) {
    source.addEventListener(name, async (event) => {
      await refresh();
      announce({ message_completed: "The answer is complete", message_cancelled: "The answer was stopped" }[name] ?? "There is no answer");
      if (name === "message_failed") watchAvailability();
      forget(JSON.parse(event.data).id);
    });
  }
  source.addEventListener("reset", (event) => forget(JSON.parse(event.data).message_id));
  source.addEventListener("delta", (event) => write(JSON.parse(event.data)));
}

// A tab nobody looks at keeps its place in the stream for a while, then gives it to another.
function onLook() {
  clearTimeout(resting);
  if (document.hidden) resting = setTimeout(rest, HIDDEN_MS);
  else if (!open()) follow();
}

function open() {
  return source && source.readyState !== EventSource.CLOSED;
}

function rest() {
  source?.close();
  source = null;
}

// Refused (too many streams) or over: look once, then try the stream again.
async function comeBack() {
  if (document.hidden || open()) return;
  await refresh();
  follow();
}

function thread() {
  return document.getElementById("thread");
}

// One question at a time; what is told meanwhile is asked for after it.
async function refresh() {
  if (asking) {
    askAgain = true;
    return asking;
  }
  asking = (async () => {
    do {
      askAgain = false;
      try {
        put(await ask(chat.dataset.thread));
      } catch {
        fresh("lost", "Disconnected — retrying");
      }
    } while (askAgain);
    asking = null;
  })();
  return asking;
}

// The thread as the server has it now, in the place of the one shown.
function put(html) {
  const made = elements(html).find((one) => one.id === "thread");
  if (!made) return;
  const known = new Set([...thread().querySelectorAll(".bubble")].map((one) => one.id));
  const box = thread().querySelector("[data-writing-box]:focus"); // a comment being written stays
  if (box) return void setTimeout(refresh, AGAIN_MS);
  const stays = following;
  become(thread(), made);
  dress();
  if (stays) toEnd([...thread().querySelectorAll(".bubble")].some((one) => !known.has(one.id)) ? "smooth" : "instant");
}

// What the server does not draw: copy buttons of code, text so far, the box's state, the title.
function dress() {
  for (const pre of thread().querySelectorAll(".prose pre")) {
    if (pre.parentElement.matches("[data-copyable]")) continue;
    const frame = document.createElement("div");
    frame.className = "code";
    frame.dataset.copyable = "";
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "code-copy" });
    button.append(document.getElementById("copy-icon").content.cloneNode(true));
    button.dataset.copy = "";
    button.setAttribute("aria-label", "Copy this code");
    pre.tabIndex = 0;
    pre.before(frame);
    frame.append(button, pre);
  }
  const title = thread().dataset.title;
  const head = document.querySelector("[data-chat-title]");
  if (head && head.textContent !== title) {
    head.textContent = title;
    document.title = `${title} · LLM Jobs`;
  }
  showText();
  lock();
}

// --- the answer as it is written

function write({ message_id, offset, text }) {
  const id = String(message_id);
  if (id !== answer.id) Object.assign(answer, { id, text: "", seen: 0 });
  const characters = [...text]; // offsets count characters, JavaScript's strings UTF-16 units
  if (offset > answer.seen) {
    if (answer.text) answer.text += " … ";
    answer.seen = offset;
  }
  answer.text += characters.slice(answer.seen - offset).join("");
  answer.seen = Math.max(answer.seen, offset + characters.length);
  showText();
  if (following) toEnd("instant");
}

function forget(message_id) {
  if (answer.id === String(message_id)) Object.assign(answer, { text: "", seen: 0 });
  showText();
}

function showText() {
  const place = thread().querySelector("[data-writing]");
  if (!place) return;
  const text = place.dataset.writing === answer.id ? answer.text : "";
  place.textContent = text;
  place.hidden = !text;
}

function turnPhrase() {
  const words = thread().querySelector('[data-waits="processing"] span');
  if (words) words.textContent = PHRASES[(phrase = (phrase + 1) % PHRASES.length)];
}

// --- scrolling

function distance() {
  const page = document.scrollingElement;
  return page.scrollHeight - innerHeight - page.scrollTop;
}

function toEnd(behavior) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.scrollingElement.scrollTo({ top: document.scrollingElement.scrollHeight, behavior: still ? "instant" : behavior });
  following = true;
}

// --- acts

async function onAct(event) {
  const form = event.target;
  const said = form === composer;
  if (event.defaultPrevented || !(said || form.matches?.("[data-chat-act]"))) return;
  if (said && form.elements.message_id) return; // said anew: the page comes back without the rest
  event.preventDefault();
  if (sending) return;
  sending = true;
  lock();
  const body = new FormData(form, event.submitter);
  if (said) body.set("content", text().value);
  for (const name of ["page_type", "page_name", "page_adaptor"]) {
    if (said && document.body.dataset[name]) body.set(name, document.body.dataset[name]);
  }
  try {
    const answered = await reach(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
    if (answered.headers.get("HX-Redirect")) return void location.assign(answered.headers.get("HX-Redirect"));
    const html = await answered.text();
    if (answered.ok) {
      if (said) emptied();
      following = following || said;
      put(html);
    } else {
      document.getElementById("notices").append(...elements(html));
      refresh();
      watchAvailability();
    }
  } catch {
    say("That could not be sent. Your text is still there: try again in a moment.", "bad");
  } finally {
    sending = false;
    lock();
    if (said && !text().disabled) text().focus();
  }
}

// --- the box

function text() {
  return composer.querySelector("textarea");
}

function startComposer() {
  const box = text();
  const kept = draft();
  if (!box.value && kept) box.value = kept;
  box.addEventListener("input", () => {
    keep(box.value);
    lock();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    if (event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (!composer.querySelector("[data-composer-send]").disabled) composer.requestSubmit();
  });
  if (!chat) composer.addEventListener("submit", () => keep(""));
  for (const one of composer.querySelectorAll("[data-attach]")) rememberChoice(one);
  lock();
}

// What goes along with a message is chosen once, not for each.
function rememberChoice(box) {
  const name = `llm-jobs-attach-${box.value}`;
  try {
    const kept = localStorage.getItem(name);
    if (kept) box.checked = kept === "on";
    box.addEventListener("change", () => localStorage.setItem(name, box.checked ? "on" : "off"));
  } catch {
    // Chosen anew each time then.
  }
}

function emptied() {
  text().value = "";
  keep("");
  composer.elements.client_message_id.value = newId();
}

// May one write, and is there something to send?
function lock() {
  if (!composer) return;
  const box = text();
  const busy = Boolean(chat && thread().dataset.active) || sending;
  const may = "available" in composer.dataset && !busy;
  const had = document.activeElement === box;
  if (box.disabled === may) {
    box.disabled = !may;
    if (may && chat && !had && (document.activeElement === document.body || !document.activeElement)) box.focus({ preventScroll: true });
  }
  const length = [...box.value].length;
  const most = Number(composer.dataset.most);
  composer.querySelector("[data-composer-send]").disabled = !may || !box.value.trim() || length > most;
  const count = composer.querySelector("[data-composer-count]");
  count.textContent = length > most - NEAR_END ? `${(most - length).toLocaleString("en")} characters left` : "";
  count.toggleAttribute("data-over", length > most);
}

function newId() {
  return crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint32Array(4))].join("-");
}

function draftName() {
  return `llm-jobs-draft-${chat?.dataset.chat ?? "new"}`;
}

function draft() {
  try {
    return sessionStorage.getItem(draftName()) ?? "";
  } catch {
    return "";
  }
}

function keep(value) {
  try {
    if (value) sessionStorage.setItem(draftName(), value);
    else sessionStorage.removeItem(draftName());
  } catch {
    // Not kept then.
  }
}

// --- can one be answered?

let watching = 0;

async function watchAvailability() {
  clearTimeout(watching);
  if (document.hidden) return void (watching = setTimeout(watchAvailability, away));
  const place = document.getElementById("availability");
  try {
    const [made] = elements(await ask(chat?.dataset.availability ?? "/chats/availability"));
    const was = place.dataset.available;
    become(place, made);
    const now = document.getElementById("availability").dataset.available;
    if (composer) composer.toggleAttribute("data-available", now === "yes");
    if (was !== now) announce(now === "yes" ? "You can write again" : "Nobody can answer now");
    away = now === "no" ? Math.min(away * 1.5, LONGEST_AWAY_MS) : AWAY_MS;
    if (was !== now) away = AWAY_MS;
    lock();
  } catch {
    away = Math.min(away * 1.5, LONGEST_AWAY_MS);
  }
  watching = setTimeout(watchAvailability, away);
}

// --- what is told

function announce(sentence) {
  const place = document.getElementById("chat-said");
  if (place) place.textContent = sentence;
}

function fresh(state, words) {
  const chip = document.getElementById("freshness");
  if (!chip) return;
  chip.hidden = false;
  chip.removeAttribute("role");
  chip.dataset.state = state;
  chip.querySelector("span").textContent = words;
}
