// Lines over time on the Quality page, drawn from the table beside them.
// <div data-lines="ID of the table" data-unit="s">: a row is a moment (th data-at, seconds), a column
// a line (td data-value). Colours are the page's own; a change of theme draws again.

const COLOURS = ["--series-0", "--series-1", "--series-2"];
const HEIGHT = 200;
let drawn = [];

function drawAll() {
  drawn.forEach((plot) => plot.destroy());
  drawn = [...document.querySelectorAll("[data-lines]")].map(draw).filter(Boolean);
}

function draw(place) {
  const table = document.getElementById(place.dataset.lines);
  if (!table) return null;
  const rows = [...table.tBodies[0].rows].reverse();
  const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
  const data = [
    rows.map((row) => Number(row.cells[0].dataset.at)),
    ...names.map((_, i) => rows.map((row) => value(row.cells[i + 1]))),
  ];
  const style = getComputedStyle(document.documentElement);
  const soft = style.getPropertyValue("--soft");
  const axis = {
    stroke: soft,
    grid: { stroke: style.getPropertyValue("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  place.replaceChildren();
  return new window.uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [{ ...axis, values: (_, ticks, __, ___, step) => ticks.map((t) => when(t, step)) }, { ...axis, size: 56, values: (_, ticks) => ticks.map((t) => written(t, place)) }],
      series: [
        { value: (_, at) => (at == null ? "" : new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ")) },
        ...names.map((name, i) => ({
          label: name,
          stroke: style.getPropertyValue(COLOURS[i]),
          width: 2,
          dash: i === 0 ? [] : [6 - 2 * i, 3],
          spanGaps: true,
          points: { show: data[0].length < 40, size: 5 },
          value: (_, v) => (v == null ? "–" : written(v, place)),
        })),
      ],
    },
    data,
    place,
  );
}

// A tick as the bars beside say it: "14 Nov", or "09:00" where ticks are less than a day apart.
function when(seconds, step) {
  const moment = new Date(seconds * 1000);
  const midnight = seconds % 86400 === 0;
  const how = step >= 86400 || midnight ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat("en-GB", { ...how, timeZone: "UTC" }).format(moment);
}

function value(cell) {
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
}

function written(number, place) {
  const text = number.toLocaleString(undefined, { maximumFractionDigits: number < 10 ? 2 : 0 });
  return place.dataset.unit ? `${text} ${place.dataset.unit}` : text;
}

addEventListener("load", drawAll);
document.addEventListener("llm-jobs:refetched", drawAll);
document.addEventListener("llm-jobs:theme", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(drawAll, 150);
});
