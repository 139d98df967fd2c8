"use strict";
// The page of `metaswin view`. Everything comes from the server that served it; texts are set as text, never as HTML.
const $ = (id) => document.getElementById(id);
const WINDOWS = { "Soft tissue": [350, 40], "Head and neck": [400, 70], Brain: [80, 40], Bone: [2000, 500], Lung: [1500, -600] };
const VIEWS = { Axial: 0, Coronal: 1, Sagittal: 2, "All planes": 3 };
const LAYOUT = [[0, [0, 0, 0.6, 1]], [1, [0.6, 0, 0.4, 0.5]], [2, [0.6, 0.5, 0.4, 0.5]]];
const COLOURS = { primary: ["#ff5252"], nodes: ["#ffd54a"], rings: ["#4dd0e1", "#7aa5ff", "#b388ff", "#80cbc4"] };
const OPACITY = { primary: 0.5, nodes: 0.5, rings: 0.25, organs: 0.35, map: 0.6 };
const DECISIONS = ["accepted", "check", "exclude"];

const state = { run: null, shown: [], patient: null, sort: ["patient", 1], layers: [], choice: null, opened: 0 };
const viewer = new niivue.Niivue({
  backColor: [0, 0, 0, 1], crosshairColor: [0.35, 0.66, 0.9, 0.8], crosshairWidth: 0.6, crosshairWidthUnit: "mm", isRadiologicalConvention: true,
  multiplanarShowRender: niivue.SHOW_RENDER.NEVER, // a rendered head shows a face
  sliceType: 3, dragAndDropEnabled: false, viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
  logLevel: "error", loadingText: "", multiplanarEqualSize: false, tileMargin: 4,
});

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

async function fetched(path, options) {
  const answer = await fetch(path, options);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error);
  return value;
}

// The list of patients.
const excluding = (row) => row.problems.filter((problem) => problem.excludes);
const warnings = (row) => row.problems.filter((problem) => !problem.excludes);
const risk = (row) => row.results[$("endpoint").value]?.risk ?? null;
const KEYS = {
  patient: (row) => row.patient,
  problems: (row) => [row.state === "excluded" ? 1 : 0, row.problems.length],
  decision: (row) => DECISIONS.indexOf(row.decision?.decision),
  risk: (row) => risk(row) ?? -1,
};

function fits(row) {
  const [kind, code] = $("filter").value.split(":");
  const found = { warning: warnings, excluded: excluding }[kind];
  if (found && !found(row).some((problem) => code === "*" || problem.code === code)) return false;
  if (kind === "decision" && (row.decision?.decision ?? "none") !== code) return false;
  const least = parseFloat($("risk-from").value);
  if (state.run.with_results && least > 0 && !((risk(row) ?? -1) >= least)) return false;
  return row.patient.toLowerCase().includes($("search").value.trim().toLowerCase());
}

function compare(a, b) {
  const [key, direction] = state.sort;
  const [left, right] = [KEYS[key](a), KEYS[key](b)].map((value) => [value].flat());
  for (const [i, value] of left.entries()) if (value !== right[i]) return (value < right[i] ? -1 : 1) * direction;
  return a.patient < b.patient ? -1 : 1;
}

function drawHeads() {
  const heads = { patient: "Patient", problems: "Data", decision: "Decision", ...(state.run.with_results ? { risk: "Risk" } : {}) };
  $("heads").replaceChildren(...Object.entries(heads).map(([key, text]) => {
    const head = element("th", "", { scope: "col", "data-key": key });
    const button = element("button", text, { type: "button" });
    button.addEventListener("click", () => {
      state.sort = [key, state.sort[0] === key ? -state.sort[1] : key === "patient" ? 1 : -1];
      drawList();
    });
    head.append(button);
    return head;
  }));
}

function drawList() {
  for (const head of $("heads").children) {
    if (head.dataset.key === state.sort[0]) head.setAttribute("aria-sort", state.sort[1] > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  state.shown = state.run.patients.filter(fits).sort(compare);
  const rows = state.shown.map((row) => {
    const line = element("tr", "", { "data-patient": row.patient, tabindex: "0" });
    if (row.patient === state.patient) line.setAttribute("aria-current", "true");
    const number = warnings(row).length;
    const data = element("td");
    if (row.state === "excluded") data.append(element("span", "excluded", { class: "tag excluded", title: excluding(row).map((one) => one.code).join(", ") }));
    else if (number) data.append(element("span", `${number} warning${number > 1 ? "s" : ""}`, { class: "warning", title: warnings(row).map((one) => one.code).join(", ") }));
    const decision = row.decision?.decision;
    line.append(element("td", row.patient, { title: row.patient }), data, element("td", decision ?? "–", { class: decision ?? "none" }));
    if (state.run.with_results) line.append(element("td", risk(row) === null ? "–" : risk(row).toFixed(2), { class: "num" }));
    line.addEventListener("click", () => open(row.patient));
    line.addEventListener("keydown", (event) => { if (event.key === "Enter") open(row.patient); });
    return line;
  });
  $("patients").replaceChildren(...rows);
  const reviewed = state.run.patients.filter((row) => row.decision).length;
  $("count").textContent = `${state.shown.length} of ${state.run.patients.length} patients, ${reviewed} reviewed`;
}

function drawFilters() {
  const codes = (found) => [...new Set(state.run.patients.flatMap((row) => found(row).map((problem) => problem.code)))].sort();
  const group = (label, options) => {
    const made = element("optgroup", "", { label });
    made.append(...options.map(([value, text]) => element("option", text, { value })));
    return made;
  };
  $("filter").replaceChildren(
    element("option", "All patients", { value: "all" }),
    group("Decision", ["none", ...DECISIONS].map((name) => [`decision:${name}`, name === "none" ? "not reviewed" : name])),
    group("Warning", [["warning:*", "any warning"], ...codes(warnings).map((code) => [`warning:${code}`, code])]),
    group("Excluded", [["excluded:*", "any exclusion"], ...codes(excluding).map((code) => [`excluded:${code}`, code])]),
  );
  $("endpoint").replaceChildren(...state.run.endpoints.map((name) => element("option", name, { value: name })));
}

// One patient.
const current = () => state.run.patients.find((row) => row.patient === state.patient);
let loading = Promise.resolve();

function open(patient) {
  state.patient = patient;
  const turn = ++state.opened;
  history.replaceState(null, "", `#${encodeURIComponent(patient)}`);
  $("patient").textContent = patient;
  for (const line of $("patients").children) {
    if (line.dataset.patient === patient) { line.setAttribute("aria-current", "true"); line.scrollIntoView({ block: "nearest" }); }
    else line.removeAttribute("aria-current");
  }
  drawFacts();
  document.body.dataset.ready = "";
  loading = loading.then(() => (turn === state.opened ? load(patient) : null)).catch((error) => { $("message").textContent = `The images cannot be shown: ${error.message}`; });
  return loading;
}

async function load(patient) {
  for (const volume of [...viewer.volumes].reverse()) viewer.removeVolume(volume);
  state.layers = [];
  drawLayers();
  $("hu").textContent = "HU –"; $("here").textContent = ""; $("place").textContent = "";
  if (!current().images) {
    $("message").textContent = "This patient has no images in this run.";
    viewer.drawScene();
    document.body.dataset.ready = patient;
    return;
  }
  $("message").textContent = "Loading …";
  const id = encodeURIComponent(patient);
  const layers = await fetched(`layers/${id}`);
  const [low, high] = limits();
  const url = (key) => `volumes/${id}/${encodeURIComponent(key)}.nii.gz`;
  const overlays = layers.map(({ key, largest }) => largest
    ? { url: url(key), name: `${key}.nii.gz`, colormap: "warm", colormapNegative: "winter", cal_min: 0.08 * largest, cal_max: largest, opacity: 0 }
    : { url: url(key), name: `${key}.nii.gz`, opacity: 1 });
  await viewer.loadVolumes([{ url: url("ct"), name: "ct.nii.gz", colormap: "gray", cal_min: low, cal_max: high }, ...overlays]);
  state.layers = layers.map((layer, number) => ({
    ...layer, volume: viewer.volumes[number + 1], labels: viewer.volumes[number + 1].img, opacity: OPACITY[layer.largest ? "map" : layer.key], on: true,
    items: (layer.items ?? []).map((item, place) => ({
      ...item, on: layer.key !== "organs",
      colour: layer.key === "organs" ? `hsl(${(place * 137.5) % 360} 65% 60%)` : COLOURS[layer.key][place % COLOURS[layer.key].length],
    })),
  }));
  drawLayers();
  outline();
  toTumour();
  $("message").textContent = "";
  document.body.dataset.ready = patient;
}

function rgb(colour) {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = colour;
  return [1, 3, 5].map((at) => parseInt(probe.fillStyle.slice(at, at + 2), 16));
}

// A volume of labels has one opacity, and NiiVue draws a label where its colour has an opacity above 0.
function paint(layer, update = true) {
  layer.volume.opacity = !layer.on ? 0 : layer.items.length && $("outline").checked ? Math.max(0.9, layer.opacity) : layer.opacity;
  if (layer.items.length) {
    const table = new Map([[0, [0, 0, 0, 0, "background"]]]);
    for (const item of layer.items) for (const label of item.labels) {
      if (item.on || !table.has(label)) table.set(label, [...rgb(item.colour), item.on ? 255 : 0, item.name]);
    }
    const labels = [...table.keys()].sort((a, b) => a - b);
    const column = (place) => labels.map((label) => table.get(label)[place]);
    layer.volume.setColormapLabel({ R: column(0), G: column(1), B: column(2), A: column(3), I: labels, labels: column(4) });
  }
  if (update) viewer.updateGLVolume();
}

// The voxels of a volume of labels that have another label beside them in their slice.
function edges(labels, [nx, ny, nz]) {
  const found = new labels.constructor(labels.length);
  for (let z = 0, i = 0; z < nz; z++) for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++, i++) {
    const label = labels[i];
    if (label && (x === 0 || y === 0 || x === nx - 1 || y === ny - 1 || labels[i - 1] !== label || labels[i + 1] !== label
      || labels[i - nx] !== label || labels[i + nx] !== label)) found[i] = label;
  }
  return found;
}

function outline() {
  for (const layer of state.layers) {
    paint(layer, false);
    if (layer.items.length) layer.volume.img = $("outline").checked ? edges(layer.labels, size(layer.volume)) : layer.labels;
  }
  viewer.updateGLVolume();
}

function box(text, colour, checked, change) {
  const label = element("label", "", { title: text });
  const input = element("input", "", { type: "checkbox" });
  input.checked = checked;
  input.addEventListener("change", () => change(input.checked));
  const swatch = element("span", "", { class: colour ? "swatch" : "swatch map" });
  if (colour) swatch.style.background = colour;
  label.append(input, swatch, element("span", text));
  return label;
}

function drawLayers() {
  const lines = state.layers.map((layer) => {
    const line = element("div", "", { class: "layer", "data-layer": layer.key });
    const switched = (target) => (on) => { target.on = on; paint(layer); };
    const opacity = element("input", "", { type: "range", min: "0.05", max: "1", step: "0.05", "aria-label": `Opacity: ${layer.name}` });
    opacity.value = layer.opacity;
    opacity.addEventListener("input", () => { layer.opacity = parseFloat(opacity.value); paint(layer); });
    const { items } = layer;
    if (items.length < 2) {
      line.append(box(items[0]?.name ?? layer.name, items[0]?.colour, true, switched(items[0] ?? layer)), opacity);
      if (layer.largest) line.append(element("p", `Orange raises the risk, blue lowers it. Full colour: ${layer.largest.toFixed(2)} of the logit.`, { class: "note" }));
      return line;
    }
    const details = element("details");
    details.open = items.length < 9;
    details.append(element("summary", `${layer.name} (${items.length})`), ...items.map((item) => box(item.name, item.colour, item.on, switched(item))));
    line.append(details, opacity);
    return line;
  });
  $("layers").replaceChildren(...(lines.length ? lines : [element("p", "none", { class: "note" })]));
}

function drawFacts() {
  const row = current();
  $("problems").replaceChildren(...(row.problems.length ? row.problems : [null]).map((problem) => {
    if (problem === null) return element("li", "none", { class: "note" });
    const line = element("li", "", {});
    line.append(element("code", problem.code, { class: problem.excludes ? "excluded" : "warning" }), element("small", `Found: ${problem.found}`), element("small", `To do: ${problem.action}`));
    return line;
  }));
  $("results").replaceChildren(...Object.entries(row.results).flatMap(([endpoint, found]) => [
    element("dt", endpoint),
    element("dd", found.risk === null ? found.why || "not predicted" : `risk ${found.risk.toFixed(3)}${found.group ? `, group ${found.group}` : ""}${found.outcome ? `; outcome: ${found.outcome}` : ""}`),
  ]));
  choose(row.decision?.decision ?? null);
  $("comment").value = row.decision?.comment ?? "";
  $("saved").className = "";
  $("saved").textContent = row.decision ? `Decided ${row.decision.time.slice(0, 16).replace("T", " ")} UTC` : "No decision yet.";
}

// The images.
function limits() {
  const [width, level] = $("window").value.split(",").map(Number);
  return [level - width / 2, level + width / 2];
}

function setWindow() {
  if (!viewer.volumes.length) return;
  [viewer.volumes[0].cal_min, viewer.volumes[0].cal_max] = limits();
  viewer.updateGLVolume();
}

function setView(type) {
  for (const button of $("views").children) button.setAttribute("aria-pressed", String(Number(button.dataset.view) === type));
  if (type === 3) viewer.setCustomLayout(LAYOUT.map(([sliceType, position]) => ({ sliceType, position })));
  else viewer.clearCustomLayout();
  viewer.setSliceType(type);
}

const size = (volume) => [1, 2, 3].map((axis) => volume.hdr.dims[axis]);

// The label of the voxel at a position: the affine is solved for the voxel by Cramer's rule.
function labelAt(layer, mm) {
  const rows = layer.volume.hdr.affine.slice(0, 3);
  const [a, b, c] = [0, 1, 2].map((column) => rows.map((row) => row[column]));
  const d = rows.map((row, axis) => mm[axis] - row[3]);
  const det = (p, q, r) => p[0] * (q[1] * r[2] - q[2] * r[1]) - p[1] * (q[0] * r[2] - q[2] * r[0]) + p[2] * (q[0] * r[1] - q[1] * r[0]);
  const whole = det(a, b, c);
  const [x, y, z] = [det(d, b, c), det(a, d, c), det(a, b, d)].map((part) => Math.round(part / whole));
  const [nx, ny, nz] = size(layer.volume);
  return x < 0 || y < 0 || z < 0 || x >= nx || y >= ny || z >= nz ? 0 : layer.labels[x + nx * (y + ny * z)];
}

// The middle of the tumour's labels, otherwise of the image.
function toTumour() {
  const layer = state.layers.find((one) => one.key === "primary") ?? state.layers.find((one) => one.key === "nodes");
  if (!layer) { viewer.scene.crosshairPos = [0.5, 0.5, 0.5]; viewer.drawScene(); viewer.createOnLocationChange(); return; }
  const [label] = layer.items[0].labels;
  const [nx, ny, nz] = size(layer.volume);
  const low = [nx, ny, nz], high = [-1, -1, -1];
  for (let i = 0; i < nx * ny * nz; i++) {
    if (layer.labels[i] !== label) continue;
    const at = [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))];
    for (let axis = 0; axis < 3; axis++) { low[axis] = Math.min(low[axis], at[axis]); high[axis] = Math.max(high[axis], at[axis]); }
  }
  const [x, y, z] = low.map((value, axis) => (value + high[axis]) / 2);
  const mm = layer.volume.hdr.affine.slice(0, 3).map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
  viewer.scene.crosshairPos = viewer.mm2frac(mm);
  viewer.drawScene();
  viewer.createOnLocationChange();
}

viewer.onLocationChange = (place) => {
  const value = place.values?.[0]?.value;
  $("hu").textContent = Number.isFinite(value) ? `HU ${Math.round(value)}` : "HU –";
  const names = state.layers.flatMap((layer) => {
    const label = layer.items.length ? labelAt(layer, place.mm) : 0;
    return layer.items.filter((item) => item.on && item.labels.includes(label)).map((item) => item.name);
  });
  $("here").textContent = names.join(", ");
  const [r, a, s] = place.mm;
  const side = (mm, plus, minus) => `${mm >= 0 ? plus : minus} ${Math.abs(mm).toFixed(1)}`;
  $("place").textContent = `${side(r, "R", "L")} · ${side(a, "A", "P")} · ${side(s, "S", "I")} mm`;
};

// Decisions.
function choose(decision) {
  state.choice = decision;
  for (const button of $("decisions").children) button.setAttribute("aria-checked", String(button.dataset.decision === decision));
}

async function save(event) {
  event.preventDefault();
  const row = current();
  if (!row) return;
  $("saved").className = "error";
  if (!state.choice) { $("saved").textContent = "Choose accepted, check or exclude."; return; }
  if (state.choice !== "accepted" && !$("comment").value.trim()) { $("saved").textContent = "Give the reason."; $("comment").focus(); return; }
  try {
    const body = JSON.stringify({ patient: row.patient, decision: state.choice, comment: $("comment").value });
    row.decision = await fetched("review", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  } catch (error) {
    $("saved").textContent = `Not saved: ${error.message}`;
    return;
  }
  if (row.patient === state.patient) drawFacts();
  $("saved").textContent = `Saved. ${$("saved").textContent}`;
  drawList();
}

function step(by) {
  const place = state.shown.findIndex((row) => row.patient === state.patient);
  const next = state.shown[place + by];
  if (next) open(next.patient);
}

async function start() {
  state.run = await fetched("run.json");
  const { run } = state;
  document.title = `${run.name}: metaswin viewer`;
  $("name").textContent = run.name;
  $("mode").textContent = run.with_results ? "Results are shown: decisions are recorded as made after the predictions were shown." : "Review: risk, outcome and occlusion maps are hidden.";
  $("mode").className = run.with_results ? "shown" : "";
  for (const part of document.querySelectorAll(".results-only")) part.hidden = !run.with_results;
  $("effect").textContent = run.is_prediction ? "Decisions are recorded; they do not change the predictions."
    : `${run.applied ? "The next run excludes the patients marked “exclude”." : "To exclude the patients marked “exclude” from the next run, set cohort.review (docs/viewer.md)."}${run.predictions_exist ? " This run has predictions: the report counts exclusions decided now." : ""}`;
  for (const [name, type] of Object.entries(VIEWS)) {
    const button = element("button", name, { type: "button", "data-view": type, "aria-pressed": "false" });
    button.addEventListener("click", () => setView(type));
    $("views").append(button);
  }
  for (const [name, values] of Object.entries(WINDOWS)) $("window").append(element("option", `${name} ${values[0]} / ${values[1]}`, { value: values.join(",") }));
  for (const decision of DECISIONS) {
    const button = element("button", decision, { type: "button", role: "radio", "data-decision": decision, "aria-checked": "false" });
    button.addEventListener("click", () => choose(decision));
    $("decisions").append(button);
  }
  await viewer.attachToCanvas($("canvas"));
  setView(3);
  drawFilters();
  drawHeads();
  drawList();
  for (const id of ["search", "filter", "endpoint", "risk-from"]) $(id).addEventListener("input", drawList);
  $("window").addEventListener("input", setWindow);
  $("outline").addEventListener("change", outline);
  $("centre").addEventListener("click", toTumour);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("form").addEventListener("submit", save);
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "n") step(1);
    if (event.key === "p") step(-1);
  });
  const asked = decodeURIComponent(location.hash.slice(1));
  const first = run.patients.find((row) => row.patient === asked) ?? state.shown.find((row) => row.images) ?? state.shown[0];
  await open(first.patient);
}

start().catch((error) => { $("message").textContent = `The viewer cannot start: ${error.message}`; });
