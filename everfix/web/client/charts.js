// Draws every <figure data-chart> from the Vega-Lite specification beside it, in the page's colours, without evaluating any text.
import { parse, View, Warn } from "vega";
import { expressionInterpreter } from "vega-interpreter";
import { compile } from "vega-lite";

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const views = new Map();

function dark() {
  const theme = document.documentElement.dataset.theme;
  return theme === "dark" || (theme !== "light" && systemDark.matches);
}

function coloured(value, colours) {
  if (typeof value === "string") return colours[value] ?? value;
  if (Array.isArray(value)) return value.map((part) => coloured(part, colours));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, key === "values" ? part : coloured(part, colours)]));
  }
  return value;
}

async function draw(figure) {
  const place = figure.querySelector("[data-canvas]");
  const given = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const spec = dark() ? coloured(given.spec, given.dark) : given.spec;
  views.get(figure)?.finalize();
  const width = Math.floor(place.clientWidth);
  if (width < 40) return;
  const font = getComputedStyle(document.body).fontFamily;
  await document.fonts.load(`11px ${font}`);
  const config = { ...spec.config, font, text: { ...spec.config.text, font } };
  const vega = compile({ ...spec, width, config }).spec;
  const view = new View(parse(vega, null, { ast: true }), {
    renderer: "svg",
    expr: expressionInterpreter,
    logLevel: Warn,
    container: place,
    hover: true,
    tooltip,
  });
  views.set(figure, view);
  figure.dataset.width = String(width);
  await view.runAsync();
  figure.dataset.drawn = dark() ? "dark" : "light";
}

// ---- one tooltip for all charts; its text is set as text
const tip = Object.assign(document.createElement("div"), { className: "chart-tip", hidden: true });
tip.setAttribute("role", "status");
document.body.append(tip);

function tooltip(_view, event, _item, value) {
  tip.hidden = value === null || value === undefined || value === "";
  if (tip.hidden) return;
  tip.replaceChildren();
  const rows = typeof value === "object" ? Object.entries(value) : [["", value]];
  for (const [name, text] of rows) {
    const row = document.createElement("div");
    row.append(Object.assign(document.createElement("span"), { textContent: name }), Object.assign(document.createElement("b"), { textContent: String(text) }));
    tip.append(row);
  }
  const { clientX: x, clientY: y } = event;
  tip.style.left = `${Math.min(x + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.max(8, y - tip.offsetHeight - 12)}px`;
}

// ---- drawn when first seen, again when the theme or the room changes
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    redraw(entry.target);
    sized.observe(entry.target.querySelector("[data-canvas]"));
  }
}, { rootMargin: "400px" });

const sized = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const figure = entry.target.closest("[data-chart]");
    if (Math.abs(Number(figure.dataset.width || 0) - Math.floor(entry.contentRect.width)) > 2) redraw(figure);
  }
});

function redraw(figure) {
  draw(figure).catch((problem) => {
    figure.dataset.drawn = "failed";
    figure.querySelector("details")?.setAttribute("open", "");
    figure.querySelector("[data-canvas]").textContent = "This chart could not be drawn; its numbers are below.";
    console.error(problem);
  });
}

function all() {
  for (const figure of document.querySelectorAll("[data-chart]")) if (!figure.dataset.width) seen.observe(figure);
}

function again() {
  for (const figure of document.querySelectorAll("[data-chart][data-width]")) redraw(figure);
}

document.addEventListener("everfix:theme", again);
document.addEventListener("htmx:after:swap", all);
addEventListener("beforeprint", () => document.querySelectorAll("[data-chart]").forEach(redraw));
all();
