// Rows of a list: ticking many, and doing things to one without leaving the list.
import { say } from "./forms.js";
import { refetch } from "./live.js";
import { ask, elements } from "./refetch.js";

export function startRows() {
  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.("form[data-quick]");
    if (!form || event.defaultPrevented) return;
    event.preventDefault();
    act(form, event.submitter);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("[data-select-all]")) {
      boxes().forEach((box) => { box.checked = event.target.checked; });
    }
    tell();
  });
  document.addEventListener("llm-jobs:refetched", tell);
  tell();
}

// The thumb shows at once what was pressed; the row asked for again has the last word.
async function act(form, button) {
  const body = new FormData(form, button);
  const pressed = button?.getAttribute("aria-pressed");
  if (pressed) show(form, button, pressed === "false");
  try {
    const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
    const answer = await ask(form.action, {
      method: "POST",
      body: new URLSearchParams(body),
      headers: { "X-CSRF-Token": token },
    });
    if (button?.dataset.act === "re_run") document.getElementById("notices")?.append(...elements(answer));
  } catch {
    if (pressed) show(form, button, pressed === "true");
    say("That did not work. Nothing was changed; try again.", "bad");
  }
  refetch([form.dataset.quick]);
}

function show(form, button, on) {
  form.querySelectorAll("[aria-pressed]").forEach((one) => one.setAttribute("aria-pressed", String(on && one === button)));
}

function boxes() {
  return [...document.querySelectorAll('[data-row] input[type="checkbox"]')];
}

function tell() {
  const label = document.querySelector("[data-selected]");
  if (!label) return;
  const all = boxes();
  const ticked = all.filter((box) => box.checked).length;
  const whole = document.querySelector("[data-select-all]");
  whole.checked = ticked > 0 && ticked === all.length;
  whole.indeterminate = ticked > 0 && ticked < all.length;
  label.textContent = ticked ? `${ticked} selected` : "Select all on this page";
}
