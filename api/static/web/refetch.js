// Parts of the page, asked for again and put in their place without losing focus, ticks or open menus.
import { reach } from "./reach.js";

let morph;
globalThis.htmx?.registerExtension("llm-jobs-refetch", { init: (api) => { morph = api.morph; } });

// The HTML at an address of ours. Throws when there is none; goes to the sign-in when it is asked to.
export async function ask(address, options = {}) {
  const headers = { "HX-Request": "true", ...options.headers };
  const answer = await reach(address, { ...options, headers, cache: "no-store" });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (elsewhere) location.assign(elsewhere);
  if (!answer.ok || elsewhere) throw new Error(`status ${answer.status}`);
  return answer.text();
}

// The elements of a piece of HTML.
export function elements(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.children];
}

// Let an element of the page become like a new one, part by part.
export function become(old, fresh) {
  if (old.dataset.current) fresh.dataset.current = old.dataset.current;
  for (const details of old.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
  const fragment = document.createDocumentFragment();
  fragment.append(fresh);
  if (morph) morph(old, fragment, false);
  else old.replaceWith(fragment);
  globalThis.htmx?.process(old);
  document.dispatchEvent(new CustomEvent("llm-jobs:refetched"));
}
