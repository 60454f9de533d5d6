/* Reads the data, and shows what the address asks for. */

async function start() {
  startTheme();
  const data = await readData(byId("data").textContent.trim());
  byId("data").remove();
  prepareRows(data);
  const useful = {
    models: data.variants.length > 1,
    latency: data.rows.some((row) => row.latency),
    cases: data.rows.length > 0,
  };
  for (const found of document.querySelectorAll("[data-needs-script]")) found.hidden = !useful[found.dataset.needsScript];
  const table = startTable(data);
  const matrix = startMatrix(data);
  const chart = startChart(data);
  startControls(data);
  startJumps();
  let before = null;
  apply = () => {
    state = readAddress();
    state.words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const filter = JSON.stringify([state.words, state.outcome, state.variant, state.group, state.cause]);
    const rest = JSON.stringify([filter, state.sort, state.view, state.cell]);
    if (rest !== before?.rest) {
      const found = data.rows.filter(matches);
      if (before && filter !== before.filter) table.top();
      before = { filter, rest, rows: sorted(found) };
      table.show(before.rows);
      matrix.show(found);
      chart.show(found);
      showControls(data, found);
    }
    const row = showDetail(data);
    table.repaint();
    const place = row ? before.rows.indexOf(row) : -1;
    if (place >= 0) table.reveal(place);
  };
  window.addEventListener("hashchange", () => apply());
  apply();
  document.documentElement.dataset.ready = "yes";
}

function startControls(data) {
  const q = byId("q");
  q.addEventListener("input", () => go({ q: q.value }));
  byId("variant").replaceChildren(el("option", { value: "" }, "every variant"), ...data.variants.map((name) => el("option", { value: name }, name)));
  byId("variant").addEventListener("change", (event) => go({ variant: event.target.value }));
  byId("group").replaceChildren(el("option", { value: "" }, "every group"), ...data.groups.map((name) => el("option", { value: name }, name)));
  byId("group").hidden = data.groups.length < 2;
  byId("group").addEventListener("change", (event) => go({ group: event.target.value }));
  byId("clear").addEventListener("click", () => {
    go({ ...FRESH, view: state.view, cell: state.cell });
    q.focus();
  });
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => {
      const { cause, outcome, variant } = button.dataset;
      go({ ...FRESH, view: state.view, cause: cause || "", outcome: outcome || "", variant: variant || "" });
      byId("cases-title").scrollIntoView();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      if (state.case) go({ case: "" });
      else if (event.target === q) go({ q: "" });
    } else if (typing) return;
    else if (event.key === "/") {
      event.preventDefault();
      q.focus();
      q.select();
    } else if (event.key === "t") byId("theme").click();
    else if ((event.key === "n" || event.key === "p") && state.case) step(data, event.key === "n" ? 1 : -1);
  });
}

/* The next case of those listed, or the one before. */
function step(data, by) {
  const rows = sorted(data.rows.filter(matches));
  const now = rows.indexOf(findRow(data, state.case));
  const next = rows[now + by];
  if (next) go({ case: next.label });
}

function showControls(data, found) {
  const q = byId("q");
  if (q.value !== state.q) q.value = state.q;
  byId("variant").value = data.variants.includes(state.variant) ? state.variant : "";
  byId("group").value = data.groups.includes(state.group) ? state.group : "";
  const totals = { "": data.rows.length };
  for (const row of data.rows) totals[row.status] = (totals[row.status] || 0) + 1;
  byId("outcomes").replaceChildren(
    ...["", "failed", "passed", "skipped"].filter((name) => totals[name]).map((name) =>
      el("button", { type: "button", "aria-pressed": String(state.outcome === name), onclick: () => go({ outcome: name }) },
        `${name || "all"} ${totals[name]}`)),
  );
  const cause = state.cause && data.causes[state.cause];
  byId("cause").replaceChildren(...(cause ? [el("span", { class: "faint" }, "Only: "), el("bdi", {}, cause)] : []));
  const few = found.length < data.rows.length;
  byId("clear").hidden = !(few || state.sort);
  byId("count").textContent = few ? `${found.length} of ${data.rows.length} cases` : `${found.length} cases`;
}

start().catch((error) => {
  byId("note").textContent = `The data of this page cannot be read: ${error.message}`;
  throw error;
});
