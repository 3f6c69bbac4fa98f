// The panel in somebody's frame. The page around it is told when this one is ready, and hands over a
// pass to one chat; when that is over, it is asked for the next.
import { startCopying } from "./copy.js";
import { admit, reach, startPasses } from "./reach.js";
import { elements } from "./refetch.js";
import { startTimes } from "./times.js";

const hosts = document.body.dataset.hosts.split(" ");
let parentOrigin = "";
let shown = 0;

addEventListener("message", onMessage);
startPasses(() => tell("llm-jobs:token-wanted", parentOrigin));
startCopying();
startTimes();
tell("llm-jobs:ready", "*");

// Nothing that is told is anybody's secret.
function tell(type, origin) {
  parent.postMessage({ type }, origin);
}

async function onMessage(event) {
  if (event.source !== parent || !hosts.includes(event.origin)) return;
  const told = event.data;
  if (told?.type === "llm-jobs:page") place(told.page);
  if (told?.type !== "llm-jobs:token" || typeof told.token !== "string") return;
  parentOrigin = event.origin;
  admit(told.token);
  if (!shown && Number.isSafeInteger(told.chat_id)) await show(told.chat_id);
}

// Once: another chat is another frame.
async function show(chatId) {
  shown = chatId;
  const answer = await reach(`/embed/chats/${chatId}/panel`, { headers: { "HX-Request": "true" }, cache: "no-store" });
  const made = elements(await answer.text());
  if (!answer.ok) {
    shown = 0;
    document.getElementById("notices").replaceChildren(...made);
    return;
  }
  document.getElementById("panel").replaceChildren(...made);
  await import("./chat.js");
  tell("llm-jobs:shown", parentOrigin);
}

// Where its author is in the application around the frame; it goes with the next messages.
function place(page) {
  for (const name of ["type", "name", "adaptor"]) {
    document.body.dataset[`page_${name}`] = typeof page?.[name] === "string" ? page[name] : "";
  }
}
