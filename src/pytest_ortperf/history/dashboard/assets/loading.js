/* Data comes in scripts, which a page may load from a file system too. Each calls `ortperf` with its name. */

const arrived = new Map();
const waited = new Map();

window.ortperf = (name, data) => arrived.set(name, data);

const DATA = /^data\/[\w/-]+\.js$/;
const places = { createScriptURL: (text) => (DATA.test(text) ? text : null) };
const trusted = window.trustedTypes ? window.trustedTypes.createPolicy("ortperf-data", places) : places;

function load(name) {
  if (!waited.has(name)) {
    waited.set(name, new Promise((done, failed) => {
      const script = el("script");
      script.addEventListener("load", () => (arrived.has(name) ? done(arrived.get(name)) : failed(new Error(`data/${name}.js holds other data`))));
      script.addEventListener("error", () => failed(new Error(`data/${name}.js cannot be loaded`)));
      script.src = trusted.createScriptURL(`data/${name}.js`);
      document.head.append(script);
    }));
  }
  return waited.get(name);
}

/* Rows that came as lists under one list of names. */
function unpacked({ columns, rows }) {
  return rows.map((row, place) => Object.fromEntries([["place", place], ...columns.map((name, column) => [name, row[column] ?? undefined])]));
}

/* Runs by number, with their place in the order of time, and quantities by name. */
async function loadRuns() {
  const data = await load("runs");
  const runs = new Map(unpacked(data).map((run, place) => [run.id, Object.assign(run, { order: place })]));
  return { runs, metrics: data.metrics };
}

const day = (time) => (time || "").slice(0, 10);
const minute = (time) => (time || "").slice(0, 16).replace("T", " ");
const percentText = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(value) >= 100 ? Math.abs(value).toFixed(0) : Math.abs(value).toFixed(1)} %`;
const caseName = (found) => [found.model, found.dims].filter(Boolean).join(", ");
const runLink = (run) => (run.report ? el("a", { href: `reports/report_${encodeURIComponent(run.run)}.html` }, run.run) : run.run);

/* One `select` of values: nothing chosen is every one; hidden where there is no choice. */
function showChoice(id, values, every, label = (value) => shortened(value, 34)) {
  const select = byId(id);
  const wanted = [...new Set(values.filter(Boolean))];
  const key = JSON.stringify(wanted);
  if (select.dataset.values !== key) {
    select.dataset.values = key;
    select.replaceChildren(el("option", { value: "" }, every), ...wanted.map((value) => el("option", { value }, label(value))));
  }
  select.hidden = wanted.length < 2 && !state[id];
  select.value = wanted.includes(state[id]) ? state[id] : "";
}

/* The text of a table that has no rows; else nothing. */
function emptyText(box, rows, text) {
  box.classList.toggle("empty", !rows.length);
  if (!rows.length) box.replaceChildren(el("p", { class: "faint" }, text));
  return !rows.length;
}

/* A table of the page; `columns` are rows of [head, width, what draws a cell]. */
function table(id, label, columns, empty) {
  const box = byId(id);
  let window_ = null;
  return (rows, given = columns) => {
    if (emptyText(box, rows, empty)) {
      window_ = null;
      return;
    }
    const shown = given.filter((column) => !column.when || rows.some(column.when));
    window_ ??= new WindowedTable(box, label, (row) => el("tr", {}, shown.map((column) => column.cell(row))));
    window_.draw = (row) => el("tr", {}, shown.map((column) => column.cell(row)));
    const narrow = innerWidth < 600;
    const widths = shown.map((column) => (narrow && column.narrow) || column.width);
    const heads = shown.map((column) =>
      column.key
        ? sortHead(column.key, column.title, column.unit, column.help, column.number)
        : el("th", { scope: "col", class: column.number ? "number" : null, title: column.help }, column.title));
    heads.forEach((head, place) => (head.style.width = `${widths[place]}px`));
    window_.show(heads, rows, widths.reduce((sum, width) => sum + width, 0));
  };
}
const cell = (text, more) => el("td", { title: typeof text === "string" ? text : null, ...more }, text ?? "");

function startKeys(more = {}) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const q = byId("q");
    if (event.key === "Escape" && event.target === q) go({ q: "" });
    if (event.target.matches("input, select, textarea")) return;
    if (event.key === "/" && q) {
      event.preventDefault();
      q.focus();
      q.select();
    } else if (event.key === "t") byId("theme").click();
    else more[event.key]?.(event);
  });
}

function startPage(begin) {
  startTheme();
  startJumps();
  begin().then(
    () => (document.documentElement.dataset.ready = "yes"),
    (error) => {
      byId("note").textContent = `The data of this page cannot be read: ${error.message}.`;
      document.documentElement.dataset.ready = "yes";
      throw error;
    },
  );
}
