// Balancing: matches by rank with t, the running sum from tail to head, probability, and what other t would give.
report.rule = () => {
  const { balancing } = report.data;
  const domain = balancing.domain ? " Entries of the recipe's domain have a t of their own." : "";
  const groups = (balancing.groups || []).length ? " Groups of terms have a t of their own, or at most a share of the set." : "";
  const text = balancing.texts_per_image === "one" ? " Of an image's texts one was chosen first." : "";
  const rules = {
    none: "Nothing was balanced: the probabilities say what balancing would keep.",
    random: "Nothing was balanced: as many pairs were chosen at random as the recipe says.",
    cap: "An entry that more than t pairs match keeps t of them; a pair stays if any of its entries keeps it.",
    sample: "An entry that c pairs match keeps each with probability min(1, t / c); a pair stays if any of its entries keeps it.",
  };
  return rules[balancing.mode || "sample"] + domain + groups + text;
};

report.balance = () => {
  const { el, data } = report;
  const found = data.balance;
  const lists = found.lists.filter((one) => one.ranks.length);
  if (!lists.length) return;
  let chosen = lists[0], line = null;
  const named = (one) => (one.list === "" ? "all lists" : one.list);
  const points = (ranks, side) => ranks.map((x, at) => ({ x, y: side[at] })).filter((point) => point.y > 0);
  const ts = () => (chosen.t ? [chosen.t] : d3.extent(Object.values(found.t)));
  const ruleOfT = () => {
    const [low, high = low] = ts();
    if (low === undefined) return [];
    const name = low === high ? `t = ${report.t(low)}` : `t = ${report.t(low)} to ${report.t(high)}, by list`;
    const marks = low === high ? [Plot.ruleY([low], { stroke: "var(--limit)", strokeDasharray: "5 4", strokeWidth: 1.5 })]
      : [Plot.rectY([{ low, high }], { y1: "low", y2: "high", fill: "var(--limit)", fillOpacity: 0.13 })];
    return [...marks, Plot.text([{ y: high }], { y: "y", text: () => name, frameAnchor: "right", dy: -8, fill: "var(--limit)", fontSize: 13, fontWeight: 600 })];
  };
  const overlay = () => line && chosen.list === found.what_if.list;
  const byRank = report.figure({
    title: "Matches by rank of entry",
    wide: true,
    label: "Matches by rank of entry before and after balancing, on logarithmic axes",
    legend: [["var(--before)", "all that match"], ["var(--between)", "less near-duplicates"], ["var(--after)", "curated"],
      ["var(--limit)", "t", "5 4"], ...(found.what_if ? [["var(--what-if)", "what the slider's t would give", "7 4"]] : [])],
    caption: "Each line sorts the entries by its own count. Balancing cuts the head towards t; entries below t keep all they have.",
    draw: (width) => report.lines(width, [
      { points: points(chosen.ranks, chosen.pool), color: "var(--before)", name: "match" },
      { points: points(chosen.ranks, chosen.deduped), color: "var(--between)", name: "less near-duplicates" },
      { points: points(chosen.ranks, chosen.kept), color: "var(--after)", width: 3, name: "curated" },
      ...(overlay() ? [{ points: points(found.what_if.ranks, line.curve), color: "var(--what-if)", dash: "7 4", name: "what if" }] : []),
    ], { x: "Entry, by rank", y: "Pairs", logX: true, logY: true, marks: ruleOfT(),
      tip: (point) => `${point.name}\nrank ${report.number(point.x)}: ${report.number(point.y)} pairs` }),
    table: { columns: [
      { title: "Rank", number: true, of: (row) => report.number(row.rank) },
      { title: "Match", number: true, of: (row) => report.number(row.pool) },
      { title: "Less duplicates", number: true, of: (row) => report.number(row.deduped) },
      { title: "Curated", number: true, of: (row) => report.number(row.kept) },
    ], rows: () => chosen.ranks.map((rank, at) => ({ rank, pool: chosen.pool[at], deduped: chosen.deduped[at], kept: chosen.kept[at] })).filter((_, at) => at % 6 === 0) },
  });
  const cumulative = report.figure({
    title: "Cumulative matches, tail to head",
    label: "Cumulative matches over entries sorted by count, before and after balancing",
    legend: [["var(--before)", "before balancing"], ["var(--after)", "curated"]],
    caption: "Entries sorted by count, the rarest first (figure 2 of the MetaCLIP paper). Before, the last few entries hold most matches.",
    draw: (width) => report.lines(width, [
      { points: chosen.entries.map((x, at) => ({ x, y: chosen.cumulative[0][at] })), color: "var(--before)", name: "before" },
      { points: chosen.entries.map((x, at) => ({ x, y: chosen.cumulative[1][at] })), color: "var(--after)", width: 3, name: "curated" },
    ], { x: "Entries, rarest first", y: "Matches so far",
      tip: (point) => `${point.name}\nfirst ${report.number(point.x)} entries: ${report.number(point.y)} matches` }),
  });
  const probability = report.figure({
    title: "Probability against count",
    label: "The probability of an entry against its count, on logarithmic axes",
    caption: "The probability by which an entry keeps a pair, by the number of pairs that match it.",
    draw: (width) => report.plot({
      width, height: Math.min(400, Math.max(260, width * 0.62)), marginLeft: 54,
      x: { label: "Pairs that match the entry", type: "log", tickFormat: report.short, ticks: width < 420 ? 4 : undefined },
      y: { label: "Probability", type: "log", tickFormat: report.percent, ticks: 5, grid: true },
      marks: [
        ...(chosen.t ? [Plot.ruleX([chosen.t], { stroke: "var(--limit)", strokeDasharray: "5 4" })] : []),
        Plot.dot(chosen.probability.filter(([c, p]) => c > 0 && p > 0), { x: "0", y: "1", r: 3, fill: "var(--after)", fillOpacity: 0.6 }),
        Plot.tip(chosen.probability, Plot.pointer({ x: "0", y: "1", title: ([c, p]) => `${report.number(c)} pairs: ${report.percent(p)}`, fill: "var(--plot-background)" })),
      ],
    }),
  });
  const redraw = () => {
    [byRank, cumulative, probability].forEach((one) => one.redraw());
    byRank.querySelector("details").open = false;
  };
  const controls = el("div", { class: "controls" });
  if (lists.length > 1) {
    const select = el("select", { id: "balance-list", on: { change: () => { chosen = lists[select.selectedIndex]; redraw(); } } },
      lists.map((one) => el("option", {}, named(one))));
    controls.append(el("div", {}, el("label", { for: "balance-list" }, Object.keys(found.t).length > lists.length ? "Entry list (those of most matches)" : "Entry list"), select));
  }
  const outcome = el("p", { class: "outcome", id: "what-if-outcome", "aria-live": "polite" });
  if (found.what_if) controls.append(report.slider(found, outcome, (at) => { line = at; byRank.redraw(); }));
  report.section("balance", "Balance",
    `The heart of MetaCLIP: common entries are cut towards t pairs, so that they do not drown rare ones. ${report.rule()}`,
    controls, outcome, el("div", { class: "grid" }, byRank, cumulative, probability));
};

// A slider over thresholds whose outcome was computed.
report.slider = (found, outcome, changed) => {
  const { el } = report;
  const { lines, list, pairs, sampled } = found.what_if;
  const used = found.t[list];
  const start = d3.leastIndex(lines, (a, b) => Math.abs(Math.log(a.t / used)) - Math.abs(Math.log(b.t / used)));
  const tell = (line) => {
    input.setAttribute("aria-valuetext", `t = ${report.t(line.t)}`);
    const about = sampled < pairs ? ", estimated from a sample" : "";
    outcome.replaceChildren(el("strong", {}, `t = ${report.t(line.t)}`),
      ` would keep ${report.number(line.size)} pairs (${report.percent(line.size / pairs)} of ${report.number(pairs)}${about}); `
      + `tail share ${report.percent(line.tail_share)}, ${report.number(line.entries_at_cap)} entries above their t. This set: t = ${report.t(used)}.`);
    changed(line);
  };
  const input = el("input", { type: "range", id: "what-if", min: "0", max: String(lines.length - 1), step: "1", on: { input: () => tell(lines[input.valueAsNumber]) } });
  input.value = String(start);
  queueMicrotask(() => tell(lines[start]));
  const leads = Object.keys(found.t).length > 1 ? ` of ${list} (the other lists follow its tail share)` : "";
  return el("div", { class: "grow" }, el("label", { for: "what-if" }, `What if: t${leads}`), input);
};
