/* The first page: what changed, the matrix of a run, and the runs; all under one filter. */

const FRESH = { q: "", branch: "", commit: "", version: "", device: "", group: "", metric: "", run: "", sort: "" };
let state = { ...FRESH };

startPage(async () => {
  const [{ runs, metrics }, index] = [await loadRuns(), await load("index")];
  const cases = unpacked(index.cases);
  for (const found of cases) {
    found.name = caseName(found);
    found.search = [found.name, found.variant, found.device, found.group].filter(Boolean).join("\n").toLowerCase();
  }
  const rowsOf = (packed) => unpacked(packed).map((row) => ({ ...row, of: cases[row.case], in: runs.get(row.run) }));
  const data = {
    runs,
    metrics,
    index,
    cases,
    changes: rowsOf(index.changes),
    points: rowsOf(index.points),
    lost: rowsOf(index.lost),
    newest: new Set(index.newest),
  };
  for (const found of document.querySelectorAll("[data-needs-script]")) found.hidden = false;
  byId("failed").hidden = !data.lost.length;
  severalDevices = new Set(cases.map((it) => it.device)).size > 1;
  const tables = startTables(data);
  const matrix = startMatrix(data);
  for (const id of ["branch", "commit", "version", "device", "group", "metric", "run"]) {
    byId(id).addEventListener("change", (event) => go({ [id]: event.target.value, ...(id === "branch" || id === "commit" ? { run: "" } : {}) }));
  }
  byId("q").addEventListener("input", (event) => go({ q: event.target.value }));
  byId("clear").addEventListener("click", () => go({ ...FRESH }));
  startKeys();
  apply = () => {
    state = readAddress();
    showFilters(data);
    tables(data);
    return matrix();
  };
  window.addEventListener("hashchange", () => apply());
  await apply();
});

function showFilters({ runs, cases, index }) {
  const found = [...runs.values()].reverse();
  const recent = index.recent.map((id) => runs.get(id)).sort((one, other) => other.order - one.order);
  const q = byId("q");
  if (q.value !== state.q) q.value = state.q;
  showChoice("branch", found.map((run) => run.branch), "every branch");
  showChoice("commit", recent.filter(ofBranch).map((run) => run.commit), "newest commit", (value) => value.slice(0, 12));
  showChoice("version", found.map((run) => run.version), "every ONNX Runtime");
  showChoice("device", cases.map((it) => it.device), "every device");
  showChoice("group", cases.map((it) => it.group), "every group");
  byId("clear").hidden = !Object.keys(FRESH).some((name) => state[name]);
}

const ofBranch = (run) => !state.branch || run.branch === state.branch;
const runMatches = (run) =>
  Boolean(run) && ofBranch(run) && (!state.commit || run.commit === state.commit) && (!state.version || run.version === state.version);
const caseMatches = (found) =>
  (!state.device || found.device === state.device) && (!state.group || found.group === state.group);

function matches(row) {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  return runMatches(row.in) && caseMatches(row.of) && words.every((word) => `${row.of.search}\n${row.metric || ""}`.toLowerCase().includes(word));
}

const seriesLink = (row, text, more) =>
  row.of.series
    ? el("a", { href: `series.html#case=${row.of.key}${row.metric ? `&metric=${encodeURIComponent(row.metric)}` : ""}`, ...more }, text)
    : text;

const caseColumns = [
  { title: "model", width: 210, narrow: 140, cell: (row) => cell(seriesLink(row, el("bdi", {}, shortened(row.of.name, 40))), { title: row.of.name }) },
  { title: "variant", width: 115, narrow: 110, cell: (row) => cell(el("bdi", {}, shortened(row.of.variant, 18)), { title: row.of.variant }) },
];
let severalDevices = false;
const runColumns = [
  { title: "branch", width: 90, when: (row) => row.in?.branch, cell: (row) => cell(row.in?.branch && shortened(row.in.branch, 12), { title: row.in?.branch }) },
  { title: "commit", width: 105, when: (row) => row.in?.commit, cell: (row) => cell(row.in?.commit?.slice(0, 10), { title: row.in?.commit }) },
  { title: "run", width: 150, cell: (row) => cell(row.in ? runLink(row.in) : "", { title: minute(row.in?.time) }) },
  { title: "device", width: 190, when: (row) => row.of.device && severalDevices, cell: (row) => cell(row.of.device && shortened(row.of.device, 26), { title: row.of.device }) },
];

const kindOf = (better) => (better > 0 ? "passed" : better < 0 ? "failed" : "skipped");
const changeTag = (row) => el("span", { class: `tag ${kindOf(row.better)}` }, `${row.percent >= 0 ? "▲" : "▼"} ${row.word}`);

function startTables({ metrics }) {
  const metric = (row) => metrics[row.metric] || { title: row.metric, unit: "" };
  const quantity = { title: "quantity", width: 155, cell: (row) => cell(metric(row).title, { title: metric(row).help }) };
  const value = (row, number) => cell([digits(number), metric(row).unit].filter((it) => it !== "").join(" "), { class: "number" });
  const changes = table("changes", "Changes", [
    caseColumns[0],
    caseColumns[1],
    { ...quantity, key: "metric", help: "What was measured" },
    { title: "change", key: "percent", width: 90, number: true, cell: (row) => cell(percentText(row.percent), { class: `number ${row.better < 0 ? "bad" : row.better > 0 ? "good" : ""}` }) },
    { title: "verdict", width: 100, cell: (row) => cell(changeTag(row), { title: row.about }) },
    { title: "value", width: 105, number: true, cell: (row) => value(row, row.value) },
    { title: "before", width: 105, number: true, help: "Median of earlier runs", cell: (row) => value(row, row.median) },
    { title: "earlier runs", width: 110, cell: (row) => cell(spark(row)) },
    { title: "change point", width: 120, when: (row) => row.state, cell: (row) => cell(row.state) },
    ...runColumns,
  ], "Nothing changed beyond both floors, as far as the filter goes.");
  const points = table("points-table", "Change points", [
    caseColumns[0],
    caseColumns[1],
    quantity,
    { title: "state", width: 110, cell: (row) => cell(el("span", { class: `tag ${{ new: "failed", confirmed: "failed", fixed: "passed" }[row.state] || "skipped"}` }, row.state)) },
    { title: "change", width: 110, number: true, cell: (row) => cell(percentText(row.percent), { class: `number ${row.better < 0 ? "bad" : row.better > 0 ? "good" : ""}` }) },
    { title: "id", width: 115, cell: (row) => cell(el("code", {}, row.id)) },
    { title: "to confirm", width: 420, when: (row) => row.command, cell: (row) => cell(row.command && el("code", {}, row.command.split("\n").find((line) => line.startsWith("ortperf ")) || row.command), { title: row.command }) },
    ...runColumns,
  ], "No change point found, as far as the filter goes.");
  const lost = table("lost", "New failures and missing cases", [
    caseColumns[0],
    caseColumns[1],
    { title: "state", width: 120, cell: (row) => cell(el("span", { class: `tag ${row.missing ? "skipped" : "failed"}` }, row.word)) },
    { title: "mode", width: 100, when: (row) => row.mode, cell: (row) => cell(row.mode) },
    { title: "message", width: 400, when: (row) => row.text, cell: (row) => cell(row.text) },
    { title: "last passed", width: 150, cell: (row) => cell(row.last, { title: row.last }) },
    ...runColumns,
  ], "None, as far as the filter goes.");
  const runs = table("runs-table", "Runs", [
    { title: "run", width: 180, cell: (run) => cell(runLink(run), { title: run.run }) },
    { title: "started (UTC)", width: 150, cell: (run) => cell(minute(run.time)) },
    { title: "branch", width: 130, when: (run) => run.branch, cell: (run) => cell(run.branch && shortened(run.branch, 18), { title: run.branch }) },
    { title: "commit", width: 120, when: (run) => run.commit, cell: (run) => cell(run.commit?.slice(0, 12), { title: run.commit }) },
    { title: "ONNX Runtime", width: 130, cell: (run) => cell(run.version) },
    { title: "machine", width: 220, when: (run) => run.device, cell: (run) => cell(run.device && shortened(run.device, 30), { title: run.device }) },
    { title: "passed", width: 80, number: true, cell: (run) => cell(String(run.passed ?? ""), { class: "number" }) },
    { title: "failed", width: 80, number: true, cell: (run) => cell(String(run.failed ?? ""), { class: `number ${run.failed ? "bad" : ""}` }) },
    { title: "state", width: 150, cell: (run) => cell(run.state) },
  ], "No run, as far as the filter goes.");
  return (data) => {
    const shown = (row) => matches(row) && (state.commit || data.newest.has(row.run));
    const listed = ordered(data.changes.filter(shown), (name) => ({ percent: (row) => Math.abs(row.percent), metric: (row) => metric(row).title })[name] || (() => undefined));
    const found = data.points.filter(matches);
    const gone = data.lost.filter(shown);
    const made = [...data.runs.values()].filter(runMatches).reverse();
    changes(listed);
    points(found);
    lost(gone);
    runs(made);
    byId("changes-count").textContent = `${listed.length} ${state.commit ? "at this commit" : "in the newest runs"}`;
    byId("points-count").textContent = String(found.length);
    byId("lost-count").textContent = String(gone.length);
    byId("runs-count").textContent = `${made.length} of ${data.runs.size}`;
  };
}

/* The values of earlier runs and, with a dot, this one. */
function spark({ spark: values, better }) {
  if (!values || values.length < 2) return "";
  const known = values.filter((value) => value !== null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const x = (place) => 3 + (place * 82) / (values.length - 1);
  const y = (value) => (most > least ? 18 - ((value - least) / (most - least)) * 14 : 11);
  const path = values.map((value, place) => `${place ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const last = values.length - 1;
  return svg("svg", { class: "spark", viewBox: "0 0 88 22", "aria-hidden": "true" },
    svg("path", { d: path }), svg("circle", { cx: x(last), cy: y(values[last]), r: 3, class: kindOf(better) }));
}

/* The values of a run with their changes, and what failed or is missing. */
function cellsOf({ metrics, cases }, byKey) {
  const cells = [];
  for (const [key, word, numbers] of cases) {
    const of = byKey.get(key);
    if (!of) continue;
    if (word) cells.push({ of, word, missing: word === "missing" });
    for (let place = 0; place < numbers.length; place += 4) {
      const [metric, value, percent, better] = numbers.slice(place, place + 4);
      cells.push({ of, metric: metrics[metric], value, percent: percent ?? undefined, better });
    }
  }
  return cells.sort((one, other) => one.of.place - other.of.place);
}

/* Models by variants of one run. */
function startMatrix({ index, runs, metrics: about, cases }) {
  const window_ = new WindowedTable(byId("matrix"), "models by variant", (line) => draw(line));
  let variants = [];
  const byKey = new Map(cases.map((found) => [found.key, found]));
  function draw(line) {
    const cells = variants.map((name) => {
      const found = line.cells.get(name);
      if (!found) return el("td");
      const kind = found.word ? (found.missing ? "skipped" : "failed") : found.better ? kindOf(found.better) : null;
      const arrow = found.better ? `${found.percent >= 0 ? "▲" : "▼"} ` : "";
      const text = found.word || `${arrow}${digits(found.value)}${found.better ? ` (${percentText(found.percent)})` : ""}`;
      const title = [line.name, name, found.word || text, found.percent !== undefined && `${percentText(found.percent)} against earlier runs`].filter(Boolean).join(", ");
      return el("td", { class: kind }, found.of.series ? seriesLink(found, text, { title }) : el("span", { title }, text));
    });
    return el("tr", {}, el("td", { title: line.name }, el("bdi", {}, shortened(line.name, 40))), cells);
  }
  return async () => {
    const wanted = index.recent.map((id) => runs.get(id)).filter(runMatches);
    const select = byId("run");
    const label = (run) => [minute(run.time), run.branch, run.commit?.slice(0, 8), run.version, run.device && shortened(run.device, 24)].filter(Boolean).join(" · ");
    select.replaceChildren(...wanted.map((run) => el("option", { value: run.run }, label(run))));
    const run = wanted.find((it) => it.run === state.run) || wanted.find((it) => it.branch === index.branch) || wanted[0];
    if (emptyText(byId("matrix"), run ? [run] : [], "No run of the newest ones, as far as the filter goes.")) return;
    select.value = run.run;
    const found = await load(`run/${run.id}`);
    const cells = cellsOf(found, byKey);
    const metrics = Object.keys(about).filter((name) => cells.some((row) => row.metric === name));
    const chosen = byId("metric");
    const metric = metrics.includes(state.metric) ? state.metric : metrics[0];
    chosen.replaceChildren(...metrics.map((name) => el("option", { value: name }, [about[name].title, about[name].unit].filter(Boolean).join(", "))));
    chosen.value = metric || "";
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const lines = new Map();
    const seen = new Set();
    for (const row of cells) {
      if (row.metric !== metric && !row.word) continue;
      if (!caseMatches(row.of) || !words.every((word) => row.of.search.includes(word))) continue;
      const key = `${row.of.model}\n${row.of.dims || ""}\n${row.of.group || ""}`;
      if (!lines.has(key)) lines.set(key, { name: row.of.name, cells: new Map() });
      const at = lines.get(key).cells;
      if (!at.has(row.of.variant) || row.word) at.set(row.of.variant, row);
      seen.add(row.of.variant);
    }
    variants = index.variants.filter((name) => seen.has(name));
    byId("matrix-about").textContent = found.about || "";
    const first = innerWidth < 600 ? 140 : 240;
    const width = 165;
    const heads = [el("th", { scope: "col" }, "model"), ...variants.map((name) => el("th", { scope: "col", class: "number", title: name }, shortened(name, 18)))];
    heads.forEach((head, place) => (head.style.width = `${place ? width : first}px`));
    if (emptyText(byId("matrix"), [...lines], "No case, as far as the filter goes.")) return;
    if (!byId("matrix").querySelector("table")) byId("matrix").replaceChildren(window_.table);
    window_.show(heads, [...lines.values()], first + width * variants.length);
  };
}
