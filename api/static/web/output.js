// One output's page: while its job runs it follows the event stream, shows the answer as it is
// written and fetches its inner part again when something changed. And its votes, dialog and frame.
import { say } from "./forms.js";
import { keepPace, pace } from "./pace.js";
import { ask, become, elements } from "./refetch.js";

const ENDED = ["completed", "failed", "cancelled"];
const POLL_MS = 3000;
const SLOW_POLL_MS = 10000;
const STREAM_AGAIN_MS = 30000;

const live = { source: null, timer: 0 };
const answer = { text: "", seen: 0, gap: false };

start();

function start() {
  document.addEventListener("submit", onSubmit);
  document.addEventListener("click", onClick);
  document.addEventListener("htmx:after:swap", shown);
  document.addEventListener("llm-jobs:theme", themeFrame);
  document.addEventListener("llm-jobs:toggle-live", toggleLive);
  shown();
  if (ended()) return;
  setInterval(tick, 1000);
  const choice = document.querySelector("[data-refresh-choice]");
  if (choice) choice.value = pace();
  choice?.addEventListener("change", () => choose(choice.value));
  begin();
}

function page() {
  return document.getElementById("output");
}

function ended() {
  return ENDED.includes(page().dataset.status);
}

function shown() {
  showText();
  themeFrame();
  const tab = document.querySelector(".output .tabs [aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 24;
}

// --- following

function choose(chosen) {
  keepPace(chosen);
  rest("");
  if (!ended()) begin();
}

function begin() {
  if (pace() === "live") follow();
  else if (pace() === "off") rest("Updates off");
  else poll(Infinity, Number(pace()) * 1000);
}

function follow() {
  clearTimeout(live.timer);
  live.source?.close();
  const source = new EventSource(page().dataset.events);
  live.source = source;
  source.onopen = () => fresh("live", "Live");
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) poll(STREAM_AGAIN_MS); // refused: ask now and then
    else fresh("lost", "Disconnected — retrying");
  };
  source.addEventListener("snapshot", (event) => moved(JSON.parse(event.data)));
  source.addEventListener("status", (event) => moved(JSON.parse(event.data)));
  source.addEventListener("reset", forget);
  source.addEventListener("delta", (event) => write(JSON.parse(event.data)));
  source.addEventListener("final", () => { source.close(); refresh(); });
  slowly();
}

function streaming() {
  return live.source?.readyState === EventSource.OPEN;
}

function moved(row) {
  if (row.status !== page().dataset.status) refresh();
}

// What a waiting job waits for changes without an event.
function slowly() {
  live.timer = setTimeout(async () => {
    if (document.querySelector("#tab-result, #tab-attempts")) await refresh();
    if (!ended() && live.source && live.source.readyState !== EventSource.CLOSED) slowly();
  }, SLOW_POLL_MS);
}

// Without the stream: ask every few seconds, and try the stream again after a while.
function poll(left, every = POLL_MS) {
  clearTimeout(live.timer);
  if (ended()) return;
  const mine = (live.timer = setTimeout(async () => {
    await refresh();
    if (ended() || live.timer !== mine) return;
    if (left <= 0) follow();
    else poll(left - every, every);
  }, every));
}

async function refresh() {
  const before = page().dataset.status;
  try {
    const [made] = elements(await ask(location.href));
    if (made?.id !== "output") throw new Error("not the page");
    if (!ended()) become(page(), made);
  } catch {
    fresh("lost", "Disconnected — retrying");
    return;
  }
  shown();
  const now = page().dataset.status;
  if (now !== before) document.getElementById("output-said").textContent = `The job is now ${now}`;
  if (ended()) rest("Final");
  else fresh(streaming() ? "live" : "still", streaming() ? "Live" : "Updated just now");
}

function rest(words) {
  live.source?.close();
  live.source = null;
  clearTimeout(live.timer);
  live.timer = 0;
  fresh("still", words);
}

function toggleLive() {
  if (!ended()) choose(pace() === "off" ? "live" : "off");
}

function fresh(state, words) {
  const chip = document.getElementById("freshness");
  if (!chip) return;
  chip.hidden = false;
  chip.removeAttribute("role"); // its ticking is no news; #output-said tells what is
  chip.dataset.state = state;
  const text = chip.querySelector("span");
  if (text.textContent !== words) text.textContent = words;
}

function tick() {
  const clock = page().querySelector("[data-since]");
  if (!clock) return;
  const seconds = Math.max(0, Math.round((Date.now() - new Date(clock.dataset.since)) / 1000));
  clock.textContent = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

// --- the answer as it is written

function forget() {
  Object.assign(answer, { text: "", seen: 0, gap: false });
  showText();
}

// Offsets count characters as Python does; JavaScript's strings count UTF-16 units.
function write({ offset, text }) {
  const characters = [...text];
  if (offset > answer.seen) {
    answer.gap = true; // written while nobody listened
    if (answer.text) answer.text += " … ";
    answer.seen = offset;
  }
  answer.text += characters.slice(answer.seen - offset).join("");
  answer.seen = Math.max(answer.seen, offset + characters.length);
  showText();
}

function showText() {
  const box = document.querySelector("[data-answer-box]");
  if (!box) return;
  const text = box.querySelector("#live-text");
  text.classList.toggle("hidden", !answer.text);
  text.textContent = answer.text;
  if (!answer.text) return void delete box.dataset.growing;
  box.dataset.growing = "yes";
  box.querySelector("[data-answer-hint]").textContent = answer.gap
    ? "A part was written while this page could not listen; all of it comes at the end."
    : "Being written now.";
}

// --- votes: shown at once, taken back when they cannot be saved; sent one after the other

let votes = Promise.resolve();
let turn = 0;
let saved = null; // the verdict the server is known to have

function onSubmit(event) {
  const form = event.target;
  if (!form.matches?.("[data-vote], [data-opinion]")) return;
  event.preventDefault();
  const body = new FormData(form, event.submitter);
  const card = form.closest("#feedback");
  saved ??= card.dataset.verdict;
  if (form.matches("[data-vote]")) press(card, body.get("feedback_type"));
  const mine = ++turn;
  votes = votes.then(() => send(form.action, body, mine));
}

function press(card, verdict) {
  card.dataset.verdict = verdict;
  for (const button of card.querySelectorAll("button[data-verdict]")) {
    const on = button.dataset.verdict === verdict;
    button.setAttribute("aria-pressed", String(on));
    button.value = on ? "none" : button.dataset.verdict;
  }
}

async function send(address, body, mine) {
  const card = () => document.getElementById("feedback");
  try {
    const [made] = elements(await ask(address, { method: "POST", body }));
    saved = made.dataset.verdict;
    if (mine === turn) become(card(), made);
  } catch {
    if (mine === turn) press(card(), saved);
    say("Your feedback could not be saved. Try again in a moment.", "bad");
  }
}

// --- the dialog that regenerates

function onClick(event) {
  const link = event.target.closest?.("a[data-regenerate]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  openDialog(link.href);
}

async function openDialog(address) {
  const dialog = document.getElementById("regenerate-dialog");
  await htmx.ajax("GET", address, { target: "#regenerate-body", swap: "innerHTML" });
  if (!dialog.open) dialog.showModal();
}

// --- the frame of an answer is another document: it is told the chosen theme in its address

function themeFrame() {
  const theme = document.documentElement.dataset.theme;
  for (const frame of document.querySelectorAll("iframe[data-themed]")) {
    const address = new URL(frame.src, location.href);
    if (theme === "system") address.searchParams.delete("theme");
    else address.searchParams.set("theme", theme);
    if (address.href !== frame.src) frame.src = address.href;
  }
}
