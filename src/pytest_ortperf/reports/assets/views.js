/* The table of cases, the matrix of models and variants, the chart of latencies. */

function link(row, text, more) {
  return el("a", { href: address({ case: row.label }), ...more }, text);
}

function startTable(data) {
  const views = [...new Set(data.columns.map((column) => column.view))];
  const tabs = byId("views");
  tabs.replaceChildren(
    ...views.map((view) => el("button", { type: "button", "data-view": view, onclick: () => go({ view: view === views[0] ? "" : view }) }, view)),
  );
  const columnsOf = (view) => data.columns.filter((column) => column.view === view);
  let columns = [];
  const window_ = new WindowedTable(byId("cases"), "cases", (row) => caseRow(row, columns));
  return {
    views,
    show(rows) {
      const view = views.includes(state.view) ? state.view : views[0];
      columns = columnsOf(view);
      for (const button of tabs.children) button.setAttribute("aria-pressed", button.dataset.view === view);
      const extra = further.filter((it) => it.views.includes(view || "Overview") && data.rows.some(it.has) && (it.key !== "group" || data.groups.length > 1));
      window_.extra = extra;
      const widths = [innerWidth < 600 ? 150 : 260, 120, 150, ...columns.map(() => 100), ...extra.map((it) => it.width)];
      const heads = [
        sortHead("name", "model", "", "Model and its dimensions"),
        sortHead("variant", "variant", "", "Provider and precision"),
        sortHead("result", "result", "", "Validation and benchmark together"),
        ...columns.map((column) => sortHead(column.key, column.title, column.unit, column.help, true)),
        ...extra.map((it) => sortHead(it.key, it.key, "", it.help, it.key === "gain")),
      ];
      heads.forEach((head, place) => (head.style.width = `${widths[place]}px`));
      window_.show(heads, rows, widths.reduce((sum, width) => sum + width, 0));
    },
    reveal: (place) => window_.reveal(place),
    repaint: () => window_.paint(true),
    top: () => (window_.box.scrollTop = 0),
  };

  function caseRow(row, shown) {
    const cells = [
      el("td", { title: row.name }, link(row, el("bdi", {}, shortened(row.name, 44)))),
      el("td", { title: row.variantName }, el("bdi", {}, shortened(row.variantName, 18))),
      el("td", { title: row.word }, el("span", { class: `tag ${row.status}` }, shortened(row.word, 21))),
      ...shown.map((column) => el("td", { class: "number", title: exact(row.values[column.key], column.unit) }, shownValue(column, row.values[column.key]))),
    ];
    cells.push(...window_.extra.map((it) => it.draw(row)));
    const open = row.cases.some((found) => found.id === state.case || found.case === state.case);
    return el("tr", { class: open ? "open" : null, onclick: (event) => openRow(event, row) }, cells);
  }
}

const further = [
  { key: "gain", views: ["Overview"], width: 124, has: (row) => row.gain, help: "Against the reference provider, of medians of one timing mode", draw: gainCell },
  { key: "nodes", views: ["Overview", "Placement"], width: 150, has: (row) => row.nodes, help: "Nodes on the provider asked for, of all nodes", draw: nodesCell },
  { key: "elsewhere", views: ["Placement"], width: 380, has: (row) => elsewhere(row), help: "Providers that got the other nodes", draw: (row) => el("td", { title: elsewhere(row) }, elsewhere(row)) },
  { key: "group", views: ["Overview"], width: 130, has: (row) => row.groupName, help: "What the models belong to: the model list's key, or its name", draw: ({ groupName }) => el("td", { title: groupName }, el("bdi", {}, shortened(groupName, 20))) },
  { key: "notes", views: ["Overview"], width: 240, has: (row) => row.notes, help: "What to know of the numbers", draw: notesCell },
];

function gainCell({ gain }) {
  if (!gain) return el("td");
  const range = gain[1] !== null ? `, ${digits(gain[1])} to ${digits(gain[2])} %` : "";
  const title = `${digits(gain[0])} % less time than ${gain[3]} (${gain[4]})${range}`;
  return el("td", { class: `number ${gain[0] >= 0 ? "good" : "bad"}`, title }, gain[5]);
}

function notesCell({ notes = [] }) {
  return el("td", { title: notes.map((note) => note[1]).join("\n"), class: "faint" }, [...new Set(notes.map((note) => note[0]))].join(", "));
}

const exact = (value, unit) => (value === undefined ? "" : `${value} ${unit}`.trim());

/* Errors span many powers of ten: they read best all in one form. */
const shownValue = (column, value) => (column.unit === "" && value && !Number.isInteger(value) && column.key.includes("error") ? value.toExponential(1) : digits(value));

function openRow(event, row) {
  if (event.target.closest("a") || getSelection().toString()) return;
  go({ case: row.label });
}

const elsewhere = (row) => Object.entries(row.nodes?.[2] || {}).map(([name, count]) => `${name} ${count}`).join(", ");

function nodesCell(row) {
  if (!row.nodes) return el("td");
  const [own, all] = row.nodes;
  const where = elsewhere(row);
  const share = all ? own / all : 1;
  return el(
    "td",
    { title: where ? `elsewhere: ${where}` : "every node on the provider asked for" },
    svg("svg", { class: "share", viewBox: "0 0 56 8", "aria-hidden": "true" },
      svg("rect", { class: "all", width: 56, height: 8 }),
      svg("rect", { class: "own", width: 56 * share, height: 8 })),
    `${own}/${all}`,
  );
}

const CELLS = {
  latency: ["p50, ms", (row) => digits(row.latency?.[0])],
  gain: ["gain", (row) => row.gain?.[5] || ""],
  error: ["largest error", (row) => shownValue({ unit: "", key: "error" }, row.values.max_abs_error)],
  nodes: ["nodes on provider", (row) => (row.nodes ? `${row.nodes[0]}/${row.nodes[1]}` : "")],
  result: ["result", (row) => row.word],
};

function startMatrix(data) {
  const select = byId("cell");
  const known = Object.keys(CELLS).filter((name) => name === "result" || data.rows.some((row) => CELLS[name][1](row)));
  select.replaceChildren(...known.map((name) => el("option", { value: name }, CELLS[name][0])));
  select.addEventListener("change", () => go({ cell: select.value === known[0] ? "" : select.value }));
  const window_ = new WindowedTable(byId("matrix"), "models by variant", (line) => {
    const cells = data.variants.map((name, variant) => {
      const row = line.cells[variant];
      if (!row) return el("td");
      const text = row.status === "failed" ? row.word : CELLS[select.value][1](row) || row.word;
      const kind = [row.status === "passed" ? null : row.status, row.fastest && `fastest ${row.fastest}`].filter(Boolean).join(" ");
      const title = `${row.name} ${name}: ${row.word}${{ clear: ", the fastest", close: ", as fast as another" }[row.fastest] || ""}`;
      return el("td", { class: kind || null }, link(row, text, { title }));
    });
    return el("tr", {}, el("td", { title: line.name }, el("bdi", {}, shortened(line.name, 40))), cells);
  });
  return {
    show(rows) {
      select.value = known.includes(state.cell) ? state.cell : known[0];
      const lines = new Map();
      for (const row of rows) {
        const key = `${row.list}\n${row.name}`;
        if (!lines.has(key)) lines.set(key, { name: row.name, cells: [] });
        lines.get(key).cells[row.variant] ??= row;
      }
      const heads = [
        el("th", { scope: "col" }, "model"),
        ...data.variants.map((name) => el("th", { scope: "col", class: "number", title: name }, shortened(name, 18))),
      ];
      const first = innerWidth < 600 ? 150 : 240;
      heads.forEach((head, place) => (head.style.width = `${place ? 128 : first}px`));
      window_.show(heads, [...lines.values()], first + 128 * data.variants.length);
    },
  };
}

const STEP = 20;

function startChart(data) {
  const box = byId("chart");
  let most = STEP;
  let shown = [];
  const more = byId("more");
  more.addEventListener("click", () => {
    most += STEP;
    paint();
  });
  const providers = [...new Set(data.variants.map((name) => name.split("-")[0]))];
  const looks = data.variants.map((name) => ({
    colour: `v${providers.indexOf(name.split("-")[0]) % 8}`,
    shape: name.includes("-") ? "square" : "dot",
  }));
  byId("legend").replaceChildren(
    ...data.variants.map((name, place) =>
      el("span", {}, svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, mark(7, 7, looks[place])), el("bdi", {}, name)),
    ),
  );
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - width) > 4) paint();
  }).observe(box);

  function mark(x, y, look, text) {
    const about = text ? svg("title", {}, text) : null;
    return look.shape === "dot"
      ? svg("circle", { cx: x, cy: y, r: 4.5, class: look.colour }, about)
      : svg("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: `${look.colour} hollow` }, about);
  }

  function paint() {
    width = box.clientWidth;
    const lines = new Map();
    for (const row of shown) {
      const key = `${row.list}\n${row.name}`;
      if (!lines.has(key)) lines.set(key, []);
      lines.get(key).push(row);
    }
    const listed = [...lines.values()].slice(0, most);
    more.hidden = lines.size <= most;
    more.textContent = `Show ${Math.min(STEP, lines.size - most)} more of ${lines.size - most} models`;
    const values = listed.flat().flatMap((row) => row.latency.filter((value) => value > 0));
    if (!values.length || width < 120) return box.replaceChildren();
    box.replaceChildren(drawing(listed, Math.min(...values), Math.max(...values)));
  }

  function drawing(listed, least, largest) {
    const inside = width - 26;
    const beside = inside > 560;
    const left = beside ? 230 : 8;
    const low = Math.log10(least) - 0.06;
    const high = Math.max(Math.log10(largest) + 0.06, low + 0.3);
    const x = (value) => left + 8 + ((Math.log10(value) - low) / (high - low)) * (inside - left - 40);
    const parts = [];
    let y = 22;
    const names = [];
    listed.forEach((rows, place) => {
      const gap = rows.length > 3 ? 9 : 12;
      const height = (beside ? 10 : 26) + gap * rows.length;
      if (place % 2 === 0) parts.push(svg("rect", { class: "band", x: 0, y, width: inside, height }));
      names.push(svg("text", { class: "ink", x: beside ? left - 8 : 4, y: beside ? y + height / 2 + 4 : y + 15, "text-anchor": beside ? "end" : "start" },
        svg("title", {}, rows[0].name), shortened(rows[0].name, beside ? 32 : 40)));
      rows.forEach((row, number) => {
        const middle = y + (beside ? 11 : 26) + gap * number;
        const [p50, from, to, p10, p90] = row.latency;
        const look = looks[row.variant];
        if (p10 > 0 && p90) parts.push(svg("line", { class: `thin ${look.colour}`, x1: x(p10), x2: x(p90), y1: middle, y2: middle }));
        if (from > 0 && to) parts.push(svg("line", { class: `thick ${look.colour}`, x1: x(from), x2: x(to), y1: middle, y2: middle }));
        const range = from ? `, 95 % interval ${digits(from)} to ${digits(to)}` : "";
        const text = `${row.name} ${row.variantName}: ${digits(p50)} ms${range}`;
        parts.push(svg("a", { href: address({ case: row.label }), "aria-label": text }, mark(x(p50), middle, look, text)));
      });
      y += height;
    });
    const grid = ticks(low, high, (inside - left) / 60).flatMap((value) => [
      svg("line", { class: "grid", x1: x(value), x2: x(value), y1: 20, y2: y }),
      svg("text", { x: x(value), y: 14, "text-anchor": "middle" }, axisText(value)),
    ]);
    const [bands, marks] = [parts.filter((part) => part.classList.contains("band")), parts.filter((part) => !part.classList.contains("band"))];
    return svg("svg", { width: inside, height: y + 4, viewBox: `0 0 ${inside} ${y + 4}`, role: "group", "aria-label": "Median latency of each case on a logarithmic axis; the table of cases holds the same numbers" },
      ...bands, ...grid, ...names, ...marks);
  }

  const axisText = (value) => (value >= 1000 ? `${value / 1000} s` : value >= 1 ? `${value} ms` : `${Number((value * 1000).toPrecision(3))} µs`);

  function ticks(low, high, most_) {
    for (const steps of [[1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
      const found = [];
      for (let power = Math.floor(low); power <= high; power++) {
        for (const step of steps) {
          const value = Number((step * 10 ** power).toPrecision(2));
          if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
        }
      }
      if (found.length <= most_ || steps.length === 1) return found;
    }
    return [];
  }

  return {
    show(rows) {
      shown = rows.filter((row) => row.latency);
      most = STEP;
      paint();
    },
  };
}
