// The theme button: system, light, dark, and round again.

const ORDER = ["system", "light", "dark"];

export function startThemeSwitch() {
  label();
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-theme-switch]")) switchTheme();
  });
}

export function switchTheme() {
  const root = document.documentElement;
  const next = ORDER[(ORDER.indexOf(root.dataset.theme) + 1) % ORDER.length];
  root.dataset.theme = next;
  try {
    localStorage.setItem("llm-jobs-theme", next);
  } catch {
    // It holds for this page then.
  }
  label();
  document.dispatchEvent(new CustomEvent("llm-jobs:theme"));
}

function label() {
  const button = document.querySelector("[data-theme-switch]");
  button?.setAttribute("aria-label", `Theme: ${document.documentElement.dataset.theme}`);
  button?.setAttribute("title", `Theme: ${document.documentElement.dataset.theme}`);
}
