// Builds api/static/web: the style sheet from app.css and the templates, the vendored scripts from
// their packages. `node build.js FOLDER` writes elsewhere, for comparing.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "../api/static/web"));
const modules = join(here, "node_modules");

mkdirSync(join(target, "vendor"), { recursive: true });
execFileSync(
  process.execPath,
  [join(modules, "@tailwindcss/cli/dist/index.mjs"), "--input", "app.css", "--minify"].concat(
    "--output", join(target, "app.css"),
  ),
  { cwd: here, stdio: ["ignore", "inherit", "pipe"] },
);
for (const [from, to] of [
  ["htmx.org/dist/htmx.min.js", "htmx.min.js"],
  ["uplot/dist/uPlot.iife.min.js", "uplot.min.js"],
  ["uplot/dist/uPlot.min.css", "uplot.min.css"],
]) {
  copyFileSync(join(modules, from), join(target, "vendor", to));
}
