// Moments in the reader's zone: relative ones are kept current, the exact one is on hover with UTC.

const STEPS = [
  [31536000, "y"], [2592000, "mo"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"],
];
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function startTimes() {
  refresh(document);
  setInterval(() => refresh(document), 5000);
  document.addEventListener("htmx:after:swap", () => refresh(document));
  document.addEventListener("llm-jobs:refetched", () => refresh(document));
}

function refresh(root) {
  for (const time of root.querySelectorAll("time[data-moment]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    const utc = time.dateTime.slice(0, 19).replace("T", " ");
    const local = exact.format(moment);
    time.title = `${local} · ${utc} UTC`;
    const text = time.dataset.moment === "absolute" ? local : relative(moment);
    if (time.textContent !== text) time.textContent = text;
  }
}

export function relative(moment, now = Date.now()) {
  const seconds = (now - moment.valueOf()) / 1000;
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  const [step, unit] = STEPS.find(([least]) => size >= least);
  const words = `${Math.round(size / step)} ${unit}`;
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}
