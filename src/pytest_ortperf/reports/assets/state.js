/* What is shown of the cases of a run. */

const FAILED = ["failed", "crashed", "timed_out"];
const STATUSES = { failed: FAILED, passed: ["passed", "xpassed"], skipped: ["skipped", "xfailed"] };
const statusOf = (outcome) => Object.keys(STATUSES).find((name) => STATUSES[name].includes(outcome)) || "skipped";
const FRESH = { case: "", q: "", outcome: "", variant: "", group: "", cause: "", view: "", sort: "", cell: "" };
let state = { ...FRESH };

function prepareRows(data) {
  data.rows.forEach((row, place) => {
    row.place = place;
    row.variantName = data.variants[row.variant];
    row.name = [row.model, row.dims].filter(Boolean).join(", ");
    row.status = statusOf(row.outcome);
    row.groupName = data.groups[row.group] || "";
    row.label = row.cases[0].id;
    const texts = row.cases.map((found) => `${found.id}\n${found.text || ""}`);
    const notes = (row.notes || []).map((note) => note[0]);
    row.search = [row.name, row.variantName, row.word, row.status, row.groupName, ...(row.tags || []), ...notes, ...texts].join("\n").toLowerCase();
  });
}

function logOf(row) {
  row.log ??= row.cases.flatMap((found) => found.blocks.filter((block) => block.log).map((block) => block.text)).join("\n").toLowerCase();
  return row.log;
}

function matches(row) {
  if (state.outcome && row.status !== state.outcome) return false;
  if (state.group && row.groupName !== state.group) return false;
  if (state.variant && row.variantName !== state.variant) return false;
  if (state.cause && !row.causes?.includes(Number(state.cause))) return false;
  return state.words.every((word) => (word.startsWith("log:") ? logOf(row).includes(word.slice(4)) : row.search.includes(word)));
}

const keyOf = {
  name: (row) => row.name,
  variant: (row) => row.variant,
  result: (row) => Object.keys(STATUSES).indexOf(row.status),
  gain: (row) => row.gain?.[0],
  nodes: (row) => (row.nodes ? row.nodes[0] / Math.max(1, row.nodes[1]) : undefined),
  elsewhere: (row) => elsewhere(row) || undefined,
  group: (row) => row.groupName || undefined,
  notes: (row) => row.notes?.length,
};

const sorted = (rows) => ordered(rows, (name) => keyOf[name] || ((row) => row.values[name]));
