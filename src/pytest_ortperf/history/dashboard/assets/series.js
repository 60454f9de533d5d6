/* One case over time: a chart of one of its quantities, and the same numbers as a table. */

const FRESH = { case: "", metric: "", branch: "", version: "", commit: "", sort: "" };
let state = { ...FRESH };
const TRAILING = 10;

startPage(async () => {
  const { runs, metrics } = await loadRuns();
  startKeys();
  for (const id of ["metric", "branch", "version", "commit"]) byId(id).addEventListener("change", (event) => go({ [id]: event.target.value }));
  byId("clear").addEventListener("click", () => go({ branch: "", version: "", commit: "" }));
  const chart = new Chart(byId("chart"), byId("readout"));
  let shown = null;
  apply = async () => {
    state = readAddress();
    byId("note").textContent = "";
    if (shown?.key !== state.case) shown = await openCase(state.case, runs, metrics);
    if (!shown) return;
    for (const found of document.querySelectorAll("[data-needs-script]")) found.hidden = false;
    showMetric(shown, chart);
  };
  window.addEventListener("hashchange", () => apply());
  await apply();
});

/* Return a case with its points by quantity. */
async function openCase(key, runs, metrics) {
  if (!/^[0-9a-f]+$/.test(key)) {
    byId("note").replaceChildren("The address names no case. ", el("a", { href: "index.html#models" }, "Choose one of the matrix."));
    return null;
  }
  let about;
  try {
    about = await load(`case/${key}/case`);
  } catch {
    byId("note").replaceChildren(`The history has no case ${key}. `, el("a", { href: "index.html#models" }, "Choose one of the matrix."));
    return null;
  }
  const blocks = await Promise.all(about.blocks.map((number) => load(`case/${key}/${number}`)));
  const series = new Map();
  for (const { runs: ids, values: found } of blocks) {
    for (const [metric, [values, lows, highs]] of Object.entries(found)) {
      if (!series.has(metric)) series.set(metric, []);
      values.forEach((value, place) => {
        const run = runs.get(ids[place]);
        if (value === null || !run) return;
        series.get(metric).push({ run, value, low: lows?.[place] ?? undefined, high: highs?.[place] ?? undefined, line: run.branch || "no branch" });
      });
    }
  }
  for (const points of series.values()) points.sort((one, other) => one.run.order - other.run.order);
  showCase(about, [...series.values()][0] || []);
  const known = about.metrics.filter((name) => series.has(name) && metrics[name]);
  return { key, series, metrics: Object.fromEntries(known.map((name) => [name, metrics[name]])), points: unpacked(about.points) };
}

function showCase(about, points) {
  const name = `${caseName(about)} ${about.variant}`;
  document.title = `ortperf: ${shortened(name, 80)}`;
  byId("name").replaceChildren(el("bdi", {}, caseName(about)), " ", el("bdi", {}, about.variant));
  const range = points.length ? `${day(points[0].run.time)} to ${day(points[points.length - 1].run.time)}` : "";
  byId("facts").textContent = [about.device, about.group && `group ${about.group}`, about.settings, range].filter(Boolean).join(" · ");
  const others = unpacked(about.others);
  byId("others").replaceChildren(...(others.length ? ["Same model: ", ...others.flatMap((it, place) => [place ? ", " : "", el("a", { href: `#case=${it.key}` }, el("bdi", {}, shortened(it.name, 60)))])] : []));
}

function showMetric({ metrics, series, points: marks }, chart) {
  const names = Object.keys(metrics);
  const metric = names.includes(state.metric) ? state.metric : names[0];
  if (!metric) return;
  const { title, unit, help } = metrics[metric];
  const select = byId("metric");
  select.replaceChildren(...names.map((name) => el("option", { value: name }, metrics[name].title)));
  select.value = metric;
  const all = series.get(metric);
  showChoice("branch", all.map((it) => it.run.branch), "every branch");
  showChoice("version", all.map((it) => it.run.version), "every ONNX Runtime");
  showChoice("commit", all.map((it) => it.run.commit).reverse(), "every commit", (value) => value.slice(0, 12));
  byId("clear").hidden = !(state.branch || state.version || state.commit);
  withTrailing(all);
  const found = all.filter(({ run }) =>
    (!state.branch || run.branch === state.branch) && (!state.version || run.version === state.version) && (!state.commit || run.commit === state.commit));
  const own = marks.filter((mark) => mark.metric === metric);
  for (const point of all) point.mark = own.find((mark) => mark.run === point.run.id);
  const titled = [title, unit].filter(Boolean).join(", ");
  byId("chart-title").textContent = titled;
  byId("chart-about").textContent = help ? `${help[0].toUpperCase()}${help.slice(1)}.${found.some((it) => it.high !== undefined) ? " The band is the 95 % interval." : ""}` : "";
  const counts = new Map();
  for (const point of found) counts.set(point.line, (counts.get(point.line) || 0) + 1);
  const lines = [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one));
  if (lines.length > MOST_LINES) byId("chart-about").append(` The ${MOST_LINES} branches with most runs of ${lines.length} are drawn; choose another one above.`);
  byId("legend").replaceChildren(...(lines.length > 1 ? lines.slice(0, MOST_LINES) : []).map((line, place) => {
    const stroke = el("i", { class: "line" });
    stroke.style.borderColor = `var(--c${place % 8})`;
    return el("span", {}, stroke, el("bdi", {}, shortened(line, 30)));
  }));
  const values = found.map((it) => it.value);
  const placed = found.map((point, place) => ({ ...point.mark, place })).filter((mark) => mark.state);
  const summary = values.length
    ? `${titled} of ${values.length} runs, from ${digits(Math.min(...values))} to ${digits(Math.max(...values))}; ${placed.length} change points. The table below holds the same numbers.`
    : "No point, as far as the filter goes.";
  chart.show(found, lines, placed, summary, (point) => describe(point, unit));
  showMarks(own, all, unit);
  byId("count").textContent = `${found.length} of ${all.length} points`;
  showTable([...found].reverse(), unit);
}

/* The median of up to ten earlier points of the same branch. */
function withTrailing(points) {
  const earlier = new Map();
  for (const point of points) {
    if (!earlier.has(point.line)) earlier.set(point.line, []);
    const before = earlier.get(point.line);
    const window_ = before.slice(-TRAILING).sort((one, other) => one - other);
    const middle = window_.length >> 1;
    const median = window_.length % 2 ? window_[middle] : (window_[middle - 1] + window_[middle]) / 2;
    point.percent = window_.length >= 3 && median ? (100 * (point.value - median)) / median : undefined;
    before.push(point.value);
  }
}

function describe(point, unit) {
  const { run } = point;
  const interval = point.high !== undefined ? ` (${digits(point.low)} to ${digits(point.high)})` : "";
  return [
    el("b", {}, `${digits(point.value)} ${unit}`), interval,
    point.percent === undefined ? "" : `, ${percentText(point.percent)} against earlier runs`, el("br"),
    [minute(run.time), run.branch && shortened(run.branch, 40), run.commit && `commit ${run.commit.slice(0, 12)}`, run.version && `ONNX Runtime ${run.version}`, `run ${run.run}`].filter(Boolean).join(" · "),
    point.mark ? el("b", {}, ` · change point ${percentText(point.mark.percent)}, ${point.mark.state}`) : "",
  ].filter((part) => part !== "");
}

function showMarks(marks, points, unit) {
  const at = new Map(points.map((point) => [point.run.id, point]));
  byId("marks").replaceChildren(...(marks.length ? [
    el("h3", {}, "Change points"),
    el("ul", { class: "findings" }, marks.filter((mark) => at.has(mark.run)).map((mark) => {
      const { run } = at.get(mark.run);
      return el("li", {},
        el("span", { class: `tag ${mark.better > 0 ? "passed" : mark.better < 0 ? "failed" : "skipped"}` }, percentText(mark.percent)), " ",
        `${[minute(run.time), run.commit?.slice(0, 12)].filter(Boolean).join(", ")}: ${digits(mark.before)} to ${digits(mark.after)} ${unit}, ${mark.state}${mark.note ? ` (${mark.note})` : ""}, id ${mark.id}`,
        mark.command ? el("pre", {}, mark.command) : null);
    })),
  ] : []));
}

let draw = null;

function showTable(rows, unit) {
  const number = (value) => cell(digits(value), { class: "number", title: value === undefined ? null : `${value} ${unit}` });
  const columns = [
    { title: "started (UTC)", width: 150, narrow: 140, cell: (it) => cell(minute(it.run.time)) },
    { title: ["value", unit].filter(Boolean).join(", "), width: 120, number: true, cell: (it) => number(it.value) },
    { title: "95 % interval", width: 170, when: (it) => it.high !== undefined, cell: (it) => cell(it.high === undefined ? "" : `${digits(it.low)} to ${digits(it.high)}`) },
    { title: "change", width: 100, number: true, help: "Against the median of up to ten earlier runs of the branch", cell: (it) => cell(it.percent === undefined ? "" : percentText(it.percent), { class: "number" }) },
    { title: "change point", width: 170, when: (it) => it.mark, cell: (it) => cell(it.mark ? el("span", { class: `tag ${it.mark.better > 0 ? "passed" : it.mark.better < 0 ? "failed" : "skipped"}` }, `${percentText(it.mark.percent)} ${it.mark.state}`) : "") },
    { title: "branch", width: 120, when: (it) => it.run.branch, cell: (it) => cell(it.run.branch && shortened(it.run.branch, 18), { title: it.run.branch }) },
    { title: "commit", width: 120, when: (it) => it.run.commit, cell: (it) => cell(it.run.commit?.slice(0, 12), { title: it.run.commit }) },
    { title: "ONNX Runtime", width: 130, cell: (it) => cell(it.run.version) },
    { title: "run", width: 180, cell: (it) => cell(runLink(it.run), { title: it.run.run }) },
  ];
  draw ??= table("table", "Points", columns, "No point, as far as the filter goes.");
  draw(rows, columns);
}
