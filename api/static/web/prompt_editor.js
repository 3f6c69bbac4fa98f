// The editor of prompts: messages come and go without a new page, and each variable the server sees
// in them gets a field for a value to try. Without this script the buttons and the page do the same.

const form = document.getElementById("prompt-form");
const list = document.getElementById("messages");
const preview = document.getElementById("preview");
const box = document.getElementById("variables");
const most = Number(box.dataset.most);
let made = Math.max(box.children.length, form.querySelectorAll(".message").length);

form.addEventListener("click", (event) => {
  const button = event.target.closest("[data-add], [data-remove]");
  if (!button) return;
  event.preventDefault();
  if (button.matches("[data-add]")) add();
  else remove(button.closest(".message"));
  form.dispatchEvent(new Event("input", { bubbles: true })); // the preview looks again
});
new MutationObserver(showVariables).observe(preview, { childList: true });

function add() {
  const roles = list.querySelectorAll("select");
  const copy = copyOf("message-template");
  made += 1;
  for (const part of copy.querySelectorAll("[id], [for]")) {
    if (part.id) part.id = part.id.replace(/-x$/, `-new-${made}`);
    if (part.htmlFor) part.htmlFor = part.htmlFor.replace(/-x$/, `-new-${made}`);
  }
  copy.querySelector("select").value = roles.length && roles[roles.length - 1].value === "user" ? "assistant" : "user";
  list.append(copy);
  copy.querySelector("textarea").focus();
}

function remove(message) {
  const beside = message.nextElementSibling ?? message.previousElementSibling;
  message.remove();
  (beside?.querySelector("textarea") ?? form.querySelector("[data-add]")).focus();
}

// What somebody typed for a name stays while the name does.
function showVariables() {
  const said = preview.querySelector("[data-variables]");
  if (!said) return;
  const wanted = JSON.parse(said.dataset.variables).slice(0, most);
  const there = new Map([...box.children].map((field) => [field.dataset.variable, field]));
  const fields = wanted.map((name) => there.get(name) ?? field(name));
  if (fields.length !== box.children.length || fields.some((one, at) => one !== box.children[at])) {
    box.replaceChildren(...fields);
  }
  document.getElementById("no-variables").hidden = wanted.length > 0;
}

function field(name) {
  const copy = copyOf("variable-template");
  const [text, check] = [copy.querySelector("textarea"), copy.querySelector("input")];
  copy.dataset.variable = name;
  made += 1;
  text.id = copy.querySelector("label").htmlFor = `v-${made}`;
  copy.querySelector("code").textContent = name;
  copy.querySelector(".sr-only").textContent = ` for ${name}`;
  text.name = `value:${name}`;
  check.name = `json:${name}`;
  return copy;
}

function copyOf(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}
