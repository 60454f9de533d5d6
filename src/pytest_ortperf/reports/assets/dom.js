/* Elements, numbers, and tables that hold only the rows in sight. Texts become text nodes, never markup. */

const byId = (id) => document.getElementById(id);

function make(namespace, tag, attributes, children) {
  const found = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) found.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) found.setAttribute(name, value === true ? "" : value);
  }
  found.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return found;
}
const el = (tag, attributes, ...children) => make("http://www.w3.org/1999/xhtml", tag, attributes, children);
const svg = (tag, attributes, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);

/* Four digits, as tables show them. */
function digits(value) {
  if (value === undefined || value === null) return "";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size === 0 || (Number.isInteger(value) && size < 1e6)) return String(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1);
  return size >= 1000 ? value.toFixed(0) : value.toPrecision(4);
}

/* A name in at most so many characters: both its ends, which tell names apart better than its beginning alone. */
function shortened(text, most) {
  const letters = [...text];
  if (letters.length <= most) return text;
  const tail = Math.floor(most / 2);
  return `${letters.slice(0, most - tail - 1).join("")}…${letters.slice(-tail).join("")}`;
}

const ROW = 34;
const BEYOND = 12;

/* A table in a box that scrolls: rows out of sight are not in the document. */
class WindowedTable {
  constructor(box, label, draw) {
    this.box = box;
    this.draw = draw;
    this.rows = [];
    this.head = el("thead");
    this.body = el("tbody");
    this.table = el("table", { "aria-label": label }, this.head, this.body);
    box.replaceChildren(this.table);
    box.addEventListener("scroll", () => this.paint(), { passive: true });
    box.addEventListener("keydown", (event) => this.move(event));
  }

  show(columns, rows, width) {
    this.head.replaceChildren(el("tr", { "aria-rowindex": 1 }, columns));
    this.rows = rows;
    this.first = -1;
    this.table.style.minWidth = `${width}px`;
    this.table.setAttribute("aria-rowcount", rows.length + 1);
    this.columns = columns.length;
    this.paint();
  }

  paint(force = false) {
    const visible = Math.ceil((this.box.clientHeight || 600) / ROW);
    const step = Math.max(0, Math.floor(this.box.scrollTop / ROW) - BEYOND);
    const first = Math.min(step - (step % 4), Math.max(0, this.rows.length - 1));
    const last = Math.min(this.rows.length, first + Math.min(visible, 40) + 2 * BEYOND + 4);
    if (!force && first === this.first && last === this.last) return;
    const held = this.body.contains(document.activeElement) ? document.activeElement.closest("tr").ariaRowIndex : null;
    this.first = first;
    this.last = last;
    const space = (rows) => {
      if (!rows) return null;
      const row = el("tr", { class: "space", "aria-hidden": "true" }, el("td", { colspan: this.columns }));
      row.firstChild.style.height = `${rows * ROW}px`;
      return row;
    };
    const shown = this.rows.slice(first, last).map((row, place) => {
      const found = this.draw(row);
      found.setAttribute("aria-rowindex", first + place + 2);
      return found;
    });
    this.body.replaceChildren(...[space(first), ...shown, space(this.rows.length - last)].filter(Boolean));
    if (held) this.body.querySelector(`tr[aria-rowindex="${held}"] a`)?.focus({ preventScroll: true });
  }

  reveal(place) {
    const top = place * ROW;
    if (top < this.box.scrollTop || top + 3 * ROW > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = Math.max(0, top - this.box.clientHeight / 3);
    }
    this.paint();
  }

  /* Arrow keys go from row to row, with the same cell in focus. */
  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    const row = document.activeElement.closest("tr");
    const links = row ? [...row.querySelectorAll("a")] : [];
    const cell = Math.max(0, links.indexOf(document.activeElement));
    const now = row && this.body.contains(row) ? Number(row.ariaRowIndex) - 2 : this.first - 1;
    const next = Math.max(0, Math.min(this.rows.length - 1, now + step));
    event.preventDefault();
    this.reveal(next);
    const found = this.body.querySelectorAll(`tr[aria-rowindex="${next + 2}"] a`);
    (found[cell] || found[0])?.focus({ preventScroll: true });
  }
}
