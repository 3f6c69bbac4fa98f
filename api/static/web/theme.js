// Sets the theme before anything is painted. The rest of the page's script is app.js.
(() => {
  const root = document.documentElement;
  root.dataset.script = "yes";
  let chosen = "system";
  try {
    chosen = localStorage.getItem("llm-jobs-theme") ?? "system";
  } catch {
    // Storage may be forbidden: then the system's theme holds.
  }
  root.dataset.theme = ["light", "dark"].includes(chosen) ? chosen : "system";
})();
