/* A chart of one quantity by uPlot: a line for each branch, its intervals as a band, change points as vertical lines. */

const MOST_LINES = 8;

/* What a colour of the style is now; a canvas cannot resolve it. */
function colourOf(name) {
  const probe = el("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

class Chart {
  constructor(box, readout) {
    this.box = box;
    this.readout = readout;
    this.width = 0;
    new ResizeObserver(() => {
      if (Math.abs(box.clientWidth - this.width) > 4) this.paint();
    }).observe(box);
    const again = () => this.paint();
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    box.addEventListener("keydown", (event) => this.move(event));
  }

  /* `points` in the order of runs, each with value, low, high and line; `marks` by the place of their point. */
  show(points, lines, marks, label, describe) {
    Object.assign(this, { points, lines: lines.slice(0, MOST_LINES), marks, describe });
    this.box.setAttribute("aria-label", label);
    this.paint();
  }

  paint() {
    this.plot?.destroy();
    this.plot = null;
    this.width = this.box.clientWidth;
    if (!this.points?.length || this.width < 80) return;
    const ink = colourOf("--faint");
    const grid = { stroke: colourOf("--line"), width: 1 };
    const data = [this.points.map((_, place) => place)];
    const series = [{}];
    const bands = [];
    this.lines.forEach((line, place) => {
      const colour = colourOf(`--c${place % 8}`);
      const column = (name) => this.points.map((point) => (point.line === line ? (point[name] ?? null) : null));
      const at = data.length;
      data.push(column("value"));
      series.push({ label: line, stroke: colour, width: 2, spanGaps: true, points: { show: this.points.length < 150, size: 6, fill: colour, stroke: colour } });
      if (!this.points.some((point) => point.line === line && point.high !== undefined)) return;
      data.push(column("high"), column("low"));
      const edge = { stroke: "transparent", spanGaps: true, points: { show: false } };
      series.push(edge, edge);
      bands.push({ series: [at + 1, at + 2], fill: colour.replace("rgb(", "rgba(").replace(")", ", 0.18)") });
    });
    this.plot = new window.uPlot({
      width: this.width,
      height: this.width < 600 ? 260 : 340,
      legend: { show: false },
      padding: [22, 36, null, null],
      cursor: { y: false, drag: { x: true, y: false } },
      scales: {
        x: { time: false, range: (_, least, most) => (least === most ? [least - 1, most + 1] : [least, most]) },
        y: { range: (plot) => this.heightOf(plot) },
      },
      axes: [
        { stroke: ink, grid, ticks: grid, space: 96, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], values: (_, places) => places.map((place) => this.timeLabel(place)) },
        { stroke: ink, grid, ticks: grid, size: 64, values: (_, values) => values.map((value) => String(Number(value.toPrecision(6)))) },
      ],
      series,
      bands,
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)], draw: [(plot) => this.drawMarks(plot)] },
    }, data, this.box);
    this.tell(null);
  }

  /* From the least to the largest value in sight, with room for their intervals, but not more than for the values. */
  heightOf(plot) {
    const { min, max } = plot.scales.x;
    const seen = this.points.slice(Math.max(0, Math.ceil(min ?? 0)), Math.floor(max ?? this.points.length) + 1);
    const least = Math.min(...seen.map((point) => point.value));
    const most = Math.max(...seen.map((point) => point.value));
    const span = Math.max(most - least, 0.02 * Math.abs(most)) || 1;
    const low = Math.max(least - span, Math.min(least, ...seen.map((point) => point.low ?? least)));
    const high = Math.min(most + span, Math.max(most, ...seen.map((point) => point.high ?? most)));
    return seen.length ? [low - 0.06 * span, high + 0.06 * span] : [0, 1];
  }

  /* The day; within a few days the hour too. */
  timeLabel(place) {
    const time = this.points[place]?.run.time;
    const [first, last] = [this.points[0], this.points[this.points.length - 1]].map((point) => Date.parse(`${point.run.time}Z`));
    return last - first < 4 * 86400000 ? minute(time).slice(5) : day(time);
  }

  drawMarks(plot) {
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio;
    ctx.save();
    ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.lineWidth = 1.5 * ratio;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    let free = -Infinity;
    for (const mark of this.marks) {
      const x = plot.valToPos(mark.place - 0.5, "x", true);
      if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
      const colour = colourOf(mark.better > 0 ? "--good" : mark.better < 0 ? "--bad" : "--warn");
      ctx.strokeStyle = colour;
      ctx.fillStyle = colour;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const text = percentText(mark.percent);
      const wide = ctx.measureText(text).width;
      const left = Math.min(x - wide / 2, bbox.left + bbox.width - wide);
      if (left > free) {
        ctx.fillText(text, left, bbox.top - 6 * ratio);
        free = left + wide + 8 * ratio;
      }
    }
    ctx.restore();
  }

  tell(place) {
    const point = place === null || place === undefined ? null : this.points[place];
    this.readout.replaceChildren(...(point ? this.describe(point) : [el("span", { class: "faint" }, "Point at the chart, or use the arrow keys on it; drag to zoom, double-click for everything.")]));
  }

  /* Arrow keys go from point to point. */
  move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !this.plot || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const now = this.plot.cursor.idx ?? (step > 0 ? -1 : this.points.length);
    const place = Math.max(0, Math.min(this.points.length - 1, now + step));
    this.plot.setCursor({ left: this.plot.valToPos(place, "x"), top: 10 });
  }
}
