"use strict";
// Sort a table by the column whose heading is pressed; a second press reverses the order.
for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const column = head.cellIndex;
      const numeric = head.classList.contains("num");
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numeric;
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.sort ?? cell.textContent.trim();
        return numeric ? (Number.isNaN(parseFloat(text)) ? -Infinity : parseFloat(text)) : text;
      };
      const keyed = [...table.tBodies[0].rows].map((row) => [key(row), row]);
      const collator = new Intl.Collator("en", { numeric: true });
      const order = numeric ? (a, b) => a[0] - b[0] : (a, b) => collator.compare(a[0], b[0]);
      keyed.sort((a, b) => (down ? order(b, a) : order(a, b)) || 0);
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.tBodies[0].append(...keyed.map((pair) => pair[1]));
    });
  }
}

// Figures: buttons show and hide curves; pointer and arrow keys show values.
const SVG = "http://www.w3.org/2000/svg";
for (const figure of document.querySelectorAll("figure.chart")) {
  const plot = figure.querySelector("svg.plot");
  const output = figure.querySelector("output");
  const cursor = plot.querySelector("g.cursor");
  const rest = output.textContent;
  const box = {};
  for (const name of ["left", "right", "top", "bottom", "x0", "x1", "y0", "y1"]) box[name] = parseFloat(plot.dataset[name]);
  const toX = (at) => box.x0 + ((at - box.left) / (box.right - box.left)) * (box.x1 - box.x0);
  const toY = (at) => box.y0 + ((box.bottom - at) / (box.bottom - box.top)) * (box.y1 - box.y0);
  const series = [...plot.querySelectorAll("g.series")];
  let place = null;

  for (const button of figure.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      for (const group of series) if (group.dataset.key === button.dataset.key) group.toggleAttribute("hidden", !on);
      if (place !== null) show(place);
    });
  }

  // Read the vertices of each curve, in units of the drawing, once from its path.
  const vertices = new Map();
  const points = (group) => {
    if (!vertices.has(group)) {
      const path = group.querySelector("path.curve");
      const found = path
        ? path.getAttribute("d").slice(1).split("L").map((pair) => pair.split(" ").map(Number))
        : [...group.querySelectorAll("circle")].map((c) => [+c.getAttribute("cx"), +c.getAttribute("cy"), c.dataset.note]);
      vertices.set(group, found);
    }
    return vertices.get(group);
  };
  const at = (group, x) => {
    const found = points(group);
    if (!found.length) return null;
    if (group.dataset.kind === "points") return found.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
    if (x < found[0][0] - 0.5 || x > found[found.length - 1][0] + 0.5) return null;
    let k = found.findIndex((point) => point[0] > x);
    if (k === -1) return found[found.length - 1];
    if (k === 0) return found[0];
    const [a, b] = [found[k - 1], found[k]];
    return [x, group.dataset.kind === "step" ? a[1] : a[1] + ((b[1] - a[1]) * (x - a[0])) / (b[0] - a[0])];
  };
  const text = (value) => value.toFixed(3).replace("-", "−");

  const show = (x) => {
    place = Math.min(Math.max(x, box.left), box.right);
    cursor.replaceChildren();
    cursor.setAttribute("visibility", "visible");
    const rule = document.createElementNS(SVG, "line");
    for (const [name, value] of Object.entries({ x1: place, x2: place, y1: box.top, y2: box.bottom, stroke: "#5b6675" })) rule.setAttribute(name, value);
    cursor.append(rule);
    output.replaceChildren();
    const lead = document.createElement("b");
    const value = toX(place);
    lead.textContent = `${plot.dataset.x} ${"whole" in plot.dataset ? Math.round(value) : text(value)}: `;
    output.append(lead);
    const said = [];
    for (const group of [...series].reverse()) {
      if (group.hasAttribute("hidden") || !group.dataset.label) continue;
      const point = at(group, place);
      if (!point) continue;
      const dot = document.createElementNS(SVG, "circle");
      for (const [name, number] of Object.entries({ cx: point[0], cy: point[1], r: 3, fill: "#1b2430" })) dot.setAttribute(name, number);
      cursor.append(dot);
      const exact = group.dataset.kind === "points" ? `${text(toX(point[0]))} → ` : "";
      said.push(`${group.dataset.label.split(":")[0]} ${exact}${text(toY(point[1]))}${point[2] ? ` (${point[2]})` : ""}`);
    }
    output.append(said.join(" · ") || "no curve shown here");
  };
  const hide = () => {
    place = null;
    cursor.setAttribute("visibility", "hidden");
    output.textContent = rest;
  };
  if (!series.length) continue;
  plot.addEventListener("pointermove", (event) => {
    const frame = plot.getBoundingClientRect();
    show(((event.clientX - frame.left) / frame.width) * plot.viewBox.baseVal.width);
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show((place ?? (box.left + box.right) / 2) + step * ((box.right - box.left) / (event.shiftKey ? 10 : 100)));
  });
}

// Show the QC images of the patients; the page contains each image once.
const dialog = document.getElementById("picture");
const pictures = JSON.parse(document.getElementById("pictures").textContent);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button.look");
  if (!button) return;
  const patient = button.dataset.picture;
  document.getElementById("picture-name").textContent = patient;
  const image = dialog.querySelector("img");
  image.src = pictures[patient];
  image.alt = `CT of patient ${patient} with its contours`;
  dialog.showModal();
});

// Copy a text; if the clipboard is not available, select the text instead.
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const status = button.parentElement.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(source.textContent);
      status.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(source);
      status.textContent = "Selected: copy it with your keyboard.";
    }
  });
}

// Print everything: open closed sections before printing and close them afterwards.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open]):not([data-screen-only])")];
  for (const part of opened) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of opened) part.open = false;
});
