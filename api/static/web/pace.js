// How often pages look again: Live · 5 s · 30 s · Off in the header, one choice for all pages, remembered.
const STORE = "llm-jobs-refresh";
const PACES = ["live", "5", "30", "off"];

// "live", "off", or seconds.
export function pace() {
  let kept = "live";
  try {
    kept = localStorage.getItem(STORE) ?? kept;
  } catch {
    // Storage may be forbidden.
  }
  return PACES.includes(kept) ? kept : "live";
}

// Remembers the choice and shows it in the header.
export function keepPace(chosen) {
  try {
    localStorage.setItem(STORE, chosen);
  } catch {
    // Only for this page then.
  }
  const choice = document.querySelector("[data-refresh-choice]");
  if (choice) choice.value = chosen;
}
