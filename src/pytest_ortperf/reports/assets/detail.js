/* One case in detail, beside the page. */

let returnTo = null;

function findRow(data, name) {
  return data.rows.find((row) => row.cases.some((found) => found.id === name)) ||
    data.rows.find((row) => row.cases.some((found) => found.case === name));
}

function showDetail(data) {
  const panel = byId("detail");
  const row = state.case ? findRow(data, state.case) : null;
  byId("note").textContent = state.case && !row ? `This run has no case ${state.case}.` : "";
  if (!row) {
    if (!panel.hidden) {
      panel.hidden = true;
      document.body.removeAttribute("data-detail");
      (returnTo?.isConnected ? returnTo : byId("q")).focus({ preventScroll: true });
    }
    return null;
  }
  if (panel.hidden) returnTo = document.activeElement;
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.replaceChildren(
    el("div", { class: "head" },
      el("h2", { id: "detail-title" }, el("bdi", {}, row.name), " ", el("span", { class: "faint" }, row.variantName)),
      el("button", { type: "button", onclick: copyLink }, "Copy link"),
      el("button", { type: "button", "aria-label": "Close", onclick: () => go({ case: "" }) }, "✕")),
    ...(row.notes || []).map(([word, text]) => el("p", {}, el("span", { class: "tag warned" }, word), " ", el("bdi", {}, text))),
    ...row.cases.flatMap(caseParts),
  );
  if (!panel.contains(document.activeElement)) panel.focus({ preventScroll: true });
  const part = row.cases.findIndex((found) => found.id === state.case || found.case === state.case);
  if (part > 0) panel.scrollTop = panel.querySelectorAll("h3")[part].offsetTop - 64;
  return row;
}

async function copyLink(event) {
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
}

function caseParts(found) {
  const seconds = found.seconds === undefined ? "" : ` in ${digits(found.seconds)} s`;
  const pictures = found.pictures && byId(found.pictures);
  return [
    el("h3", {}, found.mode === "validate" ? "Validation" : found.mode === "benchmark" ? "Benchmark" : found.mode, " ",
      el("span", { class: `tag ${statusOf(found.outcome)}` }, `${found.outcome.replace("_", " ")}${seconds}`)),
    el("p", {}, el("code", {}, el("bdi", {}, found.id))),
    ...found.blocks.flatMap(blockParts),
    pictures ? el("div", {}, pictures.content.cloneNode(true)) : null,
  ].filter(Boolean);
}

function blockParts(block) {
  const parts = [el("h4", {}, block.title)];
  if (block.help) parts.push(el("p", { class: "faint" }, block.help));
  if (block.text !== undefined) {
    const kind = [block.log && "log", block.bad && "failed"].filter(Boolean).join(" ");
    parts.push(el("pre", { class: kind || null, tabindex: block.log ? 0 : null }, block.text));
  }
  if (block.facts) parts.push(el("dl", {}, block.facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, el("bdi", {}, value))])));
  if (block.head) parts.push(tableParts(block));
  if (block.bars) parts.push(barParts(block.bars));
  if (block.bins) parts.push(histogram(block));
  return parts;
}

const MOST = 40;

function tableParts(block) {
  const wrong = new Set(block.wrong || []);
  const isNumber = block.head.map((_, place) => block.rows.every((row) => !row[place] || /^[-+]?[\d.]+(e[-+]?\d+)?( %)?$/.test(row[place])));
  const body = el("tbody");
  const add = (rows, from) =>
    body.append(...rows.map((row, place) => el("tr", { class: wrong.has(place + from) ? "wrong" : null },
      row.map((cell, column) => el("td", { class: isNumber[column] ? "number" : null }, el("bdi", {}, cell))))));
  add(block.rows.slice(0, MOST), 0);
  const head = el("thead", {}, el("tr", {}, block.head.map((title, place) => el("th", { scope: "col", class: isNumber[place] ? "number" : null }, title))));
  const box = el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": block.title }, el("table", {}, head, body));
  if (block.rows.length <= MOST) return box;
  const rest = el("button", { type: "button", onclick: () => {
    add(block.rows.slice(MOST), MOST);
    rest.remove();
  } }, `Show ${block.rows.length - MOST} more`);
  return el("div", {}, box, rest);
}

function barParts(bars) {
  const all = Math.max(1, bars.reduce((sum, bar) => sum + bar[1], 0));
  return el("ul", { class: "bars" }, bars.map(([name, count, isOther, operators]) =>
    el("li", {},
      el("b", {}, name), ` ${count} `, el("span", { class: "faint" }, `${digits((100 * count) / all)} %`),
      svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { class: "all", width: 100, height: 10 }),
        svg("rect", { class: isOther ? "other" : "own", width: (100 * count) / all, height: 10 })),
      el("span", { class: "faint" }, operators))));
}

function histogram(block) {
  const [width, height] = [640, 120];
  const most = Math.max(...block.bins);
  const step = width / block.bins.length;
  const x = (value) => ((value - block.from) / (block.to - block.from)) * width;
  const label = `${block.title}: median ${digits(block.middle)} ms, 99 % below ${digits(block.to)} ms`;
  return svg("svg", { class: "histogram", width, height: height + 20, viewBox: `0 0 ${width} ${height + 20}`, role: "img", "aria-label": label },
    block.bins.map((count, place) =>
      svg("rect", { x: place * step + 0.5, y: height - (height * count) / most, width: step - 1, height: (height * count) / most,
        class: place === block.bins.length - 1 ? "last" : null }, svg("title", {}, `${count} samples`))),
    svg("line", { class: "limit", x1: x(block.middle), x2: x(block.middle), y1: 0, y2: height }),
    svg("text", { x: 0, y: height + 15 }, `${digits(block.from)} ms`),
    svg("text", { x: Math.min(Math.max(x(block.middle), 130), width - 170), y: height + 15, "text-anchor": "middle" }, `median ${digits(block.middle)}`),
    svg("text", { x: width, y: height + 15, "text-anchor": "end" }, `${digits(block.to)} ms and more`));
}
