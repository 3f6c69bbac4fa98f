// Keeps a page current. What a page writes into its HTML is all there is to do:
//
//   {% block refresh %}{% include "parts/refresh.html" %}{% endblock %}
//       the choice Live · 5 s · 30 s · Off in the header, remembered; the chip #freshness says how it goes
//   <div id="x" data-refresh="/address">          asked again at the chosen pace; the answer is one
//       element with the same id, which this one then becomes. While Live: every 5 s, or every
//       `data-refresh-seconds="30"`; on a page with a stream, one without seconds of its own whenever
//       the stream tells of something.
//   <main data-live="/llm_outputs/live?after=7">  opens the event stream (`ids` and `tab` are added)
//   <tr id="row-5" data-live-row="5" data-status="failed">   a row to be told of. It is asked for
//       again at `data-live-rows="/llm_outputs/rows"` (beside data-live; `ids` is added), in one
//       request for all that moved, and becomes what comes back. Rows never move or appear.
//
// A new `data-status` is read out. The document tells `llm-jobs:refetched` after each change.
// A hidden tab rests. Without the stream (refused, or lost) the page asks every 5 s and tries again.
import { keepPace, pace } from "./pace.js";
import { ask, become, elements } from "./refetch.js";

const TAB = "llm-jobs-tab";
const LIVE_SECONDS = 5;
const GATHER_MS = 200;
const LEAST_MS = 2000; // between two answers to news for the same part
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60000;
const SILENCE_MS = 20000; // the stream beats every 2 s

let stream = null;
let streaming = false; // the stream is open
let failed = false; // the last question had no answer
const began = Date.now();
let updated = began;
let wait = FIRST_WAIT_MS;
let timers = { stream: 0, poll: 0, news: 0, parts: 0, silence: 0, slow: 0 };
const asked = new Map(); // part → when it was last asked for
let moved = new Set();
let partsAsked = 0;
let said = "";

export function startLive() {
  if (!document.querySelector("[data-live], [data-refresh]")) return;
  const choice = document.querySelector("[data-refresh-choice]");
  if (choice) {
    choice.value = pace();
    choice.addEventListener("change", () => choose(choice.value));
  }
  const chip = document.getElementById("freshness");
  if (chip) {
    chip.removeAttribute("role"); // its ticking is not news; `announce` tells what is
    chip.hidden = false;
  }
  document.addEventListener("llm-jobs:toggle-live", () => choose(pace() === "off" ? "live" : "off"));
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));
  addEventListener("offline", () => pace() !== "off" && lost());
  addEventListener("online", wake);
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && wake());
  setInterval(show, 1000);
  begin();
}

// Ask again at once for these rows, and for the parts of the page: something was done here.
export function refetch(ids = []) {
  ids.forEach((id) => moved.add(String(id)));
  partsAsked = 0;
  gather(0);
}

export function announce(sentence) {
  let region = document.getElementById("live-news");
  if (!region) {
    region = document.createElement("p");
    region.id = "live-news";
    region.className = "sr-only";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  region.textContent = sentence;
}

// --- the chosen pace

function choose(chosen) {
  keepPace(chosen);
  announce(chosen === "off" ? "Updates are off" : `Updates: ${chosen === "live" ? "live" : `every ${chosen} seconds`}`);
  rest();
  wake();
}

function begin() {
  show();
  if (document.hidden || pace() === "off") return;
  if (pace() === "live" && source()) connect();
  else schedulePoll();
}

function rest() {
  stream?.close();
  stream = null;
  streaming = false;
  Object.values(timers).forEach(clearTimeout);
}

function wake() {
  if (pace() !== "off" && !document.hidden) poll(begin);
  else show();
}

// --- the stream

function source() {
  return document.querySelector("[data-live]");
}

function rows() {
  return [...document.querySelectorAll("[data-live-row]")];
}

function connect() {
  const address = new URL(source().dataset.live, location.href);
  address.searchParams.set("tab", tab());
  address.searchParams.set("ids", rows().map((row) => row.dataset.liveRow).join(","));
  stream?.close();
  stream = new EventSource(address);
  stream.addEventListener("open", () => {
    clearTimeout(timers.poll);
    streaming = true;
    failed = false;
    wait = FIRST_WAIT_MS;
    heard();
    fresh();
    scheduleSlow();
  });
  stream.addEventListener("beat", heard);
  stream.addEventListener("replaced", () => { // this tab is a copy of another: take a name of its own
    forgetTab();
    connect();
  });
  stream.addEventListener("rows", (event) => {
    JSON.parse(event.data).ids.forEach((id) => moved.add(String(id)));
    gather(GATHER_MS);
  });
  stream.addEventListener("new", () => gather(GATHER_MS));
  stream.addEventListener("error", lost);
}

// A connection that died without a word is noticed by its silence.
function heard() {
  clearTimeout(timers.silence);
  timers.silence = setTimeout(lost, SILENCE_MS);
}

// Refused or broken, we cannot know: ask without it, and try it again, later each time.
function lost() {
  rest();
  poll(() => {
    timers.stream = setTimeout(connect, wait * (0.7 + 0.6 * Math.random()));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    schedulePoll();
  });
}

function forgetTab() {
  try {
    sessionStorage.removeItem(TAB);
  } catch {
    // It has none then.
  }
}

function tab() {
  try {
    const known = sessionStorage.getItem(TAB) ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
    sessionStorage.setItem(TAB, known);
    return known;
  } catch {
    return "";
  }
}

// --- asking again

function gather(ms) {
  clearTimeout(timers.news);
  timers.news = setTimeout(async () => {
    const ids = [...moved];
    moved = new Set();
    await attempt(() => refetchRows(ids));
    const early = LEAST_MS - (Date.now() - partsAsked);
    clearTimeout(timers.parts);
    timers.parts = setTimeout(() => attempt(() => refetchParts(parts().filter(due))), Math.max(0, early));
  }, ms);
}

function schedulePoll() {
  clearTimeout(timers.poll);
  timers.poll = setTimeout(() => poll(schedulePoll, false), seconds() * 1000);
}

// Parts with a pace of their own, beside the stream.
function scheduleSlow() {
  clearTimeout(timers.slow);
  const timed = () => parts().filter((part) => part.dataset.refreshSeconds);
  if (!timed().length) return;
  timers.slow = setTimeout(async () => {
    await attempt(() => refetchParts(timed().filter(due)));
    scheduleSlow();
  }, LIVE_SECONDS * 1000);
}

// While Live a part is asked for no sooner than it wishes; a pace somebody chose holds for all.
function due(part) {
  if (pace() !== "live") return true;
  const wish = Number(part.dataset.refreshSeconds || 0) * 1000;
  return Date.now() - (asked.get(part.id) ?? began) >= wish - 500;
}

async function poll(then, all = true) {
  await attempt(async () => {
    await refetchRows(rows().map((row) => row.dataset.liveRow));
    await refetchParts(all ? parts() : parts().filter(due));
  });
  if (!document.hidden && pace() !== "off") then?.();
}

function seconds() {
  if (pace() !== "live") return Number(pace()) || LIVE_SECONDS;
  const wanted = parts().map((part) => Number(part.dataset.refreshSeconds) || LIVE_SECONDS);
  if (source() || !wanted.length) wanted.push(LIVE_SECONDS);
  return Math.min(...wanted);
}

async function attempt(question) {
  try {
    await question();
    if (failed) announce("Connected again");
    failed = false;
    fresh();
  } catch {
    if (!failed) announce("Disconnected, retrying");
    failed = true;
    show();
  }
}

async function refetchRows(ids) {
  const base = source()?.dataset.liveRows;
  if (!base || !ids.length) return;
  const address = new URL(base, location.href);
  address.searchParams.set("ids", ids.join(","));
  const changes = [];
  for (const row of elements(await ask(address))) {
    const old = document.getElementById(row.id);
    if (!old || old.contains(document.activeElement?.closest("[data-writing]"))) continue;
    if (old.dataset.status !== row.dataset.status) changes.push(`${row.dataset.liveRow} ${row.dataset.status}`);
    become(old, row);
  }
  if (changes.length) announce(changes.length > 3 ? `${changes.length} outputs changed` : `Output ${changes.join(", ")}`);
}

function parts() {
  return [...document.querySelectorAll("[data-refresh]")];
}

async function refetchParts(wanted) {
  partsAsked = Date.now();
  wanted.forEach((part) => asked.set(part.id, partsAsked));
  await Promise.all(wanted.map(async (part) => {
    const [made] = elements(await ask(part.dataset.refresh));
    const old = made && document.getElementById(made.id);
    if (!old) return;
    const news = made.querySelector("[data-news]")?.textContent.trim();
    if (news && !old.querySelector("[data-news]")) announce(news);
    become(old, made);
  }));
}

// --- the chip

function fresh() {
  updated = Date.now();
  show();
}

function show() {
  const chip = document.getElementById("freshness");
  const state = failed ? "lost" : streaming ? "live" : "still";
  if (failed) document.documentElement.dataset.stale = "yes";
  else delete document.documentElement.dataset.stale;
  const text = chip?.querySelector("span");
  if (!text) return;
  chip.dataset.state = state;
  const words = pace() === "off" ? "Updates off" : failed ? "Disconnected — retrying" : streaming ? "Live" : `Updated ${age()}`;
  if (words !== said || text.textContent !== words) text.textContent = said = words;
}

function age() {
  const seconds = Math.round((Date.now() - updated) / 1000);
  if (seconds < 2) return "now";
  return seconds < 90 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}
