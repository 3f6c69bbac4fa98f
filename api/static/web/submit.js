// The form that asks for jobs: variables as one types, fields and JSON in step, one job per click.
// What a variable is, is the server's to say (app/prompts/templating.py); this only looks quicker.

const form = document.getElementById("submit-form");
const template = form.elements.template;
const messages = form.elements.messages;
const json = form.elements.context;
const box = document.getElementById("variables");
const most = Number(box.dataset.most);
const TAG = /\{\{([^{}]*)\}\}/g;
const NEVER_IN_A_NAME = /["'\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
let made = box.children.length;
let sent = false;

form.addEventListener("input", (event) => {
  if (event.target === template || event.target === messages) showVariables();
  if (event.target === json) fieldsFromJson();
  else if (event.target.closest("[data-variable]")) jsonFromFields();
});
form.addEventListener("change", (event) => {
  if (event.target.closest("[data-variable]")) jsonFromFields();
});
form.elements.prompt?.addEventListener("change", () => {
  form.requestSubmit(form.querySelector("[data-choose]")); // its variables are the server's to say
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const elsewhere = event.target.closest("form") ?? form;
  if (elsewhere !== form || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  form.requestSubmit(form.querySelector("[data-submit]"));
});
form.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
  form.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  sent = false; // whoever comes back may send again
  form.removeAttribute("aria-busy");
  if (template.value !== template.defaultValue) template.dispatchEvent(new Event("input", { bubbles: true }));
});
showVariables();

function names() {
  if (box.dataset.fixed) return JSON.parse(box.dataset.fixed); // of a saved prompt
  const found = new Set();
  for (const text of [template.value, ...contents()]) {
    for (const match of text.matchAll(TAG)) {
      const name = match[1].trim();
      if (name.length <= 255 && !NEVER_IN_A_NAME.test(name)) found.add(name);
    }
  }
  found.delete("");
  return [...found];
}

function contents() {
  if (!messages.value.trim()) return [];
  const list = parsed(messages.value);
  return Array.isArray(list) ? list.map((one) => one?.content).filter((text) => typeof text === "string") : [];
}

// Fields in the order of the template; what somebody typed for a name stays while the name does.
function showVariables() {
  const wanted = names();
  const there = new Map([...box.children].map((field) => [field.dataset.variable, field]));
  const fields = wanted.slice(0, most).map((name) => there.get(name) ?? field(name));
  if (fields.length !== box.children.length || fields.some((one, at) => one !== box.children[at])) {
    box.replaceChildren(...fields);
  }
  document.getElementById("no-variables").hidden = wanted.length > 0;
  document.getElementById("more-variables").hidden = wanted.length <= most;
}

function field(name) {
  const copy = document.getElementById("variable-template").content.firstElementChild.cloneNode(true);
  const [text, check] = [copy.querySelector("textarea"), copy.querySelector("input")];
  copy.dataset.variable = name;
  made += 1;
  text.id = copy.querySelector("label").htmlFor = `v-${made}`;
  copy.querySelector("code").textContent = name;
  copy.querySelector(".sr-only").textContent = ` for ${name}`;
  text.name = `value:${name}`;
  check.name = `json:${name}`;
  fill(copy, lookUp(object() ?? {}, name));
  return copy;
}

function fill(copy, value) {
  const [text, check] = [copy.querySelector("textarea"), copy.querySelector("input")];
  if (value === undefined) {
    text.value = "";
    return;
  }
  check.checked = typeof value !== "string" || value.trim() === "" || check.checked;
  text.value = check.checked ? JSON.stringify(value) : value;
}

function fieldsFromJson() {
  const context = object();
  say(json, context ? "" : "This is no JSON object yet.");
  if (!context) return;
  for (const copy of box.children) fill(copy, lookUp(context, copy.dataset.variable));
}

function jsonFromFields() {
  const context = object() ?? {};
  for (const copy of box.children) remove(context, copy.dataset.variable);
  for (const copy of box.children) {
    const [text, check] = [copy.querySelector("textarea"), copy.querySelector("input")];
    const value = check.checked ? parsed(text.value) : text.value;
    say(text, check.checked && value === undefined ? "This is not JSON yet." : "");
    if (value !== undefined && (check.checked || value.trim())) place(context, copy.dataset.variable, value);
  }
  json.value = JSON.stringify(context, null, 2);
}

function say(input, sentence) {
  if (sentence) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  input.title = sentence;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function object() {
  const value = json.value.trim() ? parsed(json.value) : {};
  return isObject(value) ? value : null;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function lookUp(context, name) {
  if (Object.hasOwn(context, name)) return context[name];
  let node = context;
  for (const key of name.split(".")) {
    if (!isObject(node) || !Object.hasOwn(node, key)) return undefined;
    node = node[key];
  }
  return node;
}

function place(context, name, value) {
  const parents = name.split(".");
  const last = parents.pop();
  let node = context;
  for (const key of parents) {
    if (!Object.hasOwn(node, key)) set(node, key, {});
    node = node[key];
    if (!isObject(node)) return set(context, name, value);
  }
  return set(node, last, value);
}

function remove(context, name) {
  if (Object.hasOwn(context, name)) return delete context[name];
  const parents = name.split(".");
  const last = parents.pop();
  let node = context;
  for (const key of parents) node = isObject(node) && Object.hasOwn(node, key) ? node[key] : null;
  return isObject(node) && delete node[last];
}

// Also for names such as __proto__.
function set(node, key, value) {
  Object.defineProperty(node, key, { value, enumerable: true, configurable: true, writable: true });
}
