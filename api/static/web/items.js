// Words of a job's files for the form that corrects its items: offered below the field for the line
// one types, put there by a press. Without this script one types them.
import { ask } from "./refetch.js";

const WAIT_MS = 200;
const SHORTEST = 2;
const LONGEST = 64;
let timer = 0;

document.addEventListener("input", ({ target }) => {
  if (!target.matches?.("textarea[data-suggest]")) return;
  clearTimeout(timer);
  timer = setTimeout(() => offer(target), WAIT_MS);
});
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-suggestion]");
  if (button) take(button);
});

function boxOf(area) {
  return document.getElementById(area.dataset.suggest);
}

// Where the line begins and ends that the cursor is in.
function line(area) {
  const start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
  const end = area.value.indexOf("\n", start);
  return [start, end < 0 ? area.value.length : end];
}

async function offer(area) {
  const typed = area.value.slice(...line(area)).trim();
  const box = boxOf(area);
  if (typed.length < SHORTEST || typed.length > LONGEST) return box.replaceChildren();
  const address = new URL(area.form.dataset.suggestions, location.href);
  address.searchParams.set("q", typed);
  try {
    const found = await ask(address);
    if (area.value.slice(...line(area)).trim() === typed) box.innerHTML = found;
  } catch {
    box.replaceChildren(); // help that does not come is no fault
  }
}

function take(button) {
  const box = button.parentElement;
  const area = document.querySelector(`textarea[data-suggest="${box.id}"]`);
  const [start, end] = line(area);
  area.setRangeText(button.textContent, start, end, "end");
  box.replaceChildren();
  area.focus();
}
