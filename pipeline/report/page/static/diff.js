// The page of two outputs: A is what was, B what is.
report.diff = () => {
  const { el, data, number, percent, table } = report;
  const { names, pairs, entries } = data;
  const [a, b] = names[0] === names[1] ? data.folders : names;
  const [before, after] = entries.totals;
  document.getElementById("header").append(
    el("div", { class: "title" }, el("h1", {}, el("span", { class: "a" }, a), " → ", el("span", { class: "b" }, b)), report.theme()),
    el("p", { class: "lede" }, `${number(pairs.both)} pairs are in both; ${number(pairs.left)} left, ${number(pairs.entered)} entered.`),
    report.tiles([["A", number(pairs.both + pairs.left)], ["B", number(pairs.both + pairs.entered)], ["In both", number(pairs.both)],
      ["Left", number(pairs.left)], ["Entered", number(pairs.entered)]]));
  const list = (samples) => samples.length
    ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sample texts" }, el("ul", { class: "samples" }, samples.map(({ text, host }) => el("li", {}, el("span", {}, text, host ? el("span", { class: "soft" }, ` (${host})`) : null)))))
    : el("p", { class: "note" }, "None.");
  report.section("pairs", "Pairs", "Random ones of those that are in one set alone.",
    el("div", { class: "grid" },
      el("div", {}, el("h3", {}, `Left: in A alone (${number(pairs.left)})`), list(pairs.left_samples)),
      el("div", {}, el("h3", {}, `Entered: in B alone (${number(pairs.entered)})`), list(pairs.entered_samples))));
  const points = (found) => found.ranks.map((x, at) => ({ x, y: found.kept[at] })).filter((point) => point.y > 0);
  report.section("balance", "Balance", "Curated pairs by rank of entry, each set sorted by itself.",
    report.figure({
      title: "Curated pairs by rank of entry",
      legend: [["var(--before)", "A"], ["var(--after)", "B"]],
      draw: (width) => report.lines(width, [
        { points: points(data.curves[0]), color: "var(--before)", name: "A" },
        { points: points(data.curves[1]), color: "var(--after)", width: 3, name: "B" },
      ], { x: "Entry, by rank", y: "Pairs", logX: true, logY: true, tip: (point) => `${point.name}\nrank ${number(point.x)}: ${number(point.y)} pairs` }),
    }));
  const moved = (title, rows) => el("div", {}, el("h3", {}, title), table([
    { title: "Entry", name: true, of: (row) => row.entry },
    { title: "List", of: (row) => row.list },
    { title: "Share", number: true, of: (row) => `${percent(row.before / before)} → ${percent(row.after / after)}` },
    { title: "Pairs", number: true, of: (row) => `${report.short(row.before)} → ${report.short(row.after)}` },
  ], rows, { label: title }));
  report.section("entries", "Entries", "Entries whose share of all curated matches changed most.",
    el("div", { class: "grid" }, moved("Lost most share", entries.lost), moved("Gained most share", entries.gained)));
  const arrow = (values) => values.map((value) => (value === null || value === undefined ? "–" : report.t(value))).join(" → ");
  report.section("languages", "Languages", null, table([
    { title: "List", of: (row) => row.list, sort: (row) => row.list },
    { title: "t", number: true, of: (row) => arrow(row.t), sort: (row) => row.t[1] || 0 },
    { title: "Curated", number: true, of: (row) => arrow(row.kept), sort: (row) => row.kept[1] },
    { title: "Change", number: true, of: (row) => number(row.kept[1] - row.kept[0]), sort: (row) => row.kept[1] - row.kept[0] },
  ], data.languages, { sortable: true, label: "Languages" }));
  report.section("stages", "Stages", "Rows of every stage, left and dropped by reason.", el("div", { class: "grid" },
    [a, b].map((name, at) => report.figure({ title: `${at ? "B" : "A"}: ${name}`, draw: (width) => report.funnel(width, data.stages[at]) }))));
  report.section("recipe", "Recipe", data.recipe.length ? "Keys that differ." : "The recipes are the same.",
    data.recipe.length ? table([
      { title: "Key", name: true, of: (row) => el("span", { class: "key" }, row.key) },
      { title: "A", name: true, of: (row) => el("span", { class: "key" }, row.values[0] ?? "–") },
      { title: "B", name: true, of: (row) => el("span", { class: "key" }, row.values[1] ?? "–") },
    ], data.recipe, { label: "Keys that differ" }) : null);
};
report.diff();
