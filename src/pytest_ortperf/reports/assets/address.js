/* What is shown is kept in the address, so that a link shows the same. A page names it in FRESH, and draws it in apply. */

let apply = () => {};

function readAddress() {
  const text = location.hash.slice(1);
  if (!text) return { ...FRESH };
  const found = { ...FRESH };
  // `#bert::benchmark[cuda]` does too
  if (!/^\w+=/.test(text)) return { ...found, case: decoded(text) };
  for (const part of text.split("&")) {
    const [name, value] = [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)];
    if (Object.hasOwn(FRESH, name)) found[name] = decoded(value);
  }
  return found;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function address(changes) {
  const wanted = { ...state, ...changes };
  const parts = Object.keys(FRESH).filter((name) => wanted[name]);
  return `#${parts.map((name) => `${name}=${encodeURIComponent(wanted[name])}`).join("&")}`;
}

/* Change what is shown; the address follows. */
function go(changes) {
  const next = address(changes);
  if (next === (location.hash || "#")) return;
  history.replaceState(null, "", next);
  apply();
}

/* Links to sections keep what is shown, which is in the address too. */
function startJumps() {
  for (const found of document.querySelectorAll("[data-jump]")) {
    found.addEventListener("click", (event) => {
      event.preventDefault();
      byId(found.getAttribute("href").slice(1)).scrollIntoView();
    });
  }
}

function sortHead(key, title, unit, help, isNumber) {
  const direction = state.sort === key ? "ascending" : state.sort === `-${key}` ? "descending" : null;
  const next = direction === "ascending" ? `-${key}` : direction === "descending" ? "" : key;
  const arrow = { ascending: " ▲", descending: " ▼" }[direction] || "";
  return el(
    "th",
    { scope: "col", class: isNumber ? "number" : null, "aria-sort": direction },
    el("button", { type: "button", title: help, "data-sort": key, onclick: () => go({ sort: next }) },
      title, unit ? el("small", {}, ` ${unit}`) : null, arrow),
  );
}

/* Rows in the order that the address asks for. */
function ordered(rows, valueBy) {
  if (!state.sort) return rows;
  const down = state.sort.startsWith("-");
  const value = valueBy(state.sort.replace(/^-/, ""));
  const order = new Intl.Collator("en", { numeric: true });
  return rows
    .map((row) => [value(row), row])
    .sort(([one, first], [other, second]) => {
      // what is absent comes last, whichever way
      if ((one === undefined) !== (other === undefined)) return one === undefined ? 1 : -1;
      const found = typeof one === "string" ? order.compare(one, other) : one - other;
      return (down ? -found : found) || first.place - second.place;
    })
    .map(([, row]) => row);
}
