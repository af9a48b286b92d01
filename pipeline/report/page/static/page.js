"use strict";
// What the page is built of: elements, numbers, sections, tables. Data becomes text and values of attributes only.
const report = { data: JSON.parse(document.getElementById("page-data").textContent) };

report.el = (name, attributes, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

report.number = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : "–");
report.t = (value) => (Number.isInteger(value) ? report.number(value) : Number(value.toPrecision(6)).toLocaleString("en-US"));
report.short = (value) => {
  const units = [[1e9, "B"], [1e6, "M"], [1e4, "k"]];
  const found = units.find(([size]) => Math.abs(value) >= size);
  if (!found) return report.number(value);
  const size = found[0] === 1e4 ? 1e3 : found[0];
  return `${+(value / size).toPrecision(3)}${found[1]}`;
};
report.percent = (value) => {
  if (!Number.isFinite(value)) return "–";
  return `${Number((value * 100).toPrecision(2)).toLocaleString("en-US", { maximumFractionDigits: 6 })}%`;
};
report.words = (name) => name.replaceAll("_", " ");

// A section of the page, with its link in the navigation.
report.section = (id, title, about, ...children) => {
  const { el } = report;
  const heading = el("h2", { id: `${id}-title` }, title);
  document.getElementById("main").append(
    el("section", { id, "aria-labelledby": `${id}-title` }, heading, about ? el("p", { class: "soft" }, about) : null, children),
  );
  let list = document.querySelector("#nav ul");
  if (!list) document.getElementById("nav").append((list = el("ul")));
  list.append(el("li", {}, el("a", { href: `#${id}` }, title)));
};

report.tiles = (tiles) =>
  report.el("dl", { class: "tiles" }, tiles.filter(Boolean).map(([name, value]) =>
    report.el("div", {}, report.el("dt", {}, name), report.el("dd", {}, value))));

// A table whose columns are {title, of, number, sort}: `of` gives a cell of a row, `sort` what it is sorted by.
report.table = (columns, rows, options = {}) => {
  const { el } = report;
  let order = rows.slice(), by = -1, down = true;
  const body = el("tbody");
  const heads = columns.map((column, at) => {
    const label = options.sortable && column.sort
      ? el("button", { type: "button", on: { click: () => sort(at) } }, column.title) : column.title;
    return el("th", { scope: "col", class: column.number ? "number" : null }, label);
  });
  const draw = () => body.replaceChildren(...order.map((row) =>
    el("tr", { class: options.mark && options.mark(row) ? "differs" : null }, columns.map((column) =>
      el("td", { class: column.number ? "number" : column.name ? "name" : column.whole ? "whole" : null }, column.of(row))))));
  const sort = (at) => {
    down = at === by ? !down : true;
    by = at;
    const key = columns[at].sort;
    order = rows.slice().sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      const found = typeof x === "string" ? x.localeCompare(y) * -1 : x - y;
      return down ? -found : found;
    });
    heads.forEach((head, each) => each === at
      ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort"));
    draw();
  };
  draw();
  const table = el("table", {}, options.caption ? el("caption", {}, options.caption) : null,
    el("thead", {}, el("tr", {}, heads)), body);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": options.label || options.caption || "Table" }, table);
};

// A drawn figure, drawn again where the page's width changes; with its figures as a table for who cannot see it.
report.figure = ({ title, caption, label, draw, legend, table, wide }) => {
  const { el } = report;
  const place = el("div", { class: "drawing" });
  let width = 0;
  const redraw = () => {
    if (!place.clientWidth) return;
    width = place.clientWidth;
    const drawn = draw(width);
    // The library's own style sheet is not of the page's policy; ours has the same rules.
    drawn.querySelectorAll("style").forEach((style) => style.remove());
    // Labels of groups are for drawings that are read part by part; this one is an image with one label.
    drawn.querySelectorAll("[aria-label]").forEach((part) => part.removeAttribute("aria-label"));
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", label || title);
    place.replaceChildren(drawn);
  };
  new ResizeObserver(() => {
    if (Math.abs(place.clientWidth - width) > 2) requestAnimationFrame(redraw);
  }).observe(place);
  const figure = el("figure", { class: wide ? "wide" : null }, title ? el("h3", {}, title) : null, legend ? report.legend(legend) : null, place,
    caption ? el("figcaption", {}, caption) : null,
    table ? report.figures(title, table) : null);
  figure.redraw = redraw;
  return figure;
};

// The table is made when it is opened, of what the figure shows then.
report.figures = (title, table) => {
  const { el } = report;
  const details = el("details", {}, el("summary", {}, table.title || "The figures as a table"));
  details.addEventListener("toggle", () => {
    if (details.open) details.append(report.table(table.columns, typeof table.rows === "function" ? table.rows() : table.rows, { label: `${title}: figures` }));
    else details.lastElementChild.remove();
  });
  return details;
};

report.legend = (lines) =>
  report.el("ul", { class: "legend" }, lines.map(([color, name, dash]) => {
    const svg = d3.create("svg").attr("viewBox", "0 0 24 10").attr("aria-hidden", "true");
    svg.append("line").attr("x1", 0).attr("x2", 24).attr("y1", 5).attr("y2", 5).attr("stroke", color)
      .attr("stroke-width", 4).attr("stroke-dasharray", dash || null);
    return report.el("li", {}, svg.node(), name);
  }));

// The button that changes light for dark.
report.theme = () => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const button = report.el("button", { type: "button", on: { click: () => { root.dataset.theme = dark() ? "light" : "dark"; name(); } } });
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`); };
  name();
  return button;
};
