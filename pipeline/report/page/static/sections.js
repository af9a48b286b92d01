// The sections besides balance: the funnel, entries, languages, texts, duplicates, images, filters, recipe.
report.count = (title, of) => ({ title, number: true, of: (row) => report.number(of(row)), sort: of });

report.stages = () => {
  const { stages } = report.data;
  if (!stages.length) return;
  report.section("stages", "Stages", "Every row is accounted for: what each stage got, what it dropped and why, what is left.",
    report.figure({
      label: "Rows of every stage, left and dropped by reason",
      legend: [["var(--after)", "rows out"], ["var(--drop1)", "dropped, by reason"]],
      draw: (width) => report.funnel(width, stages),
      table: null,
    }),
    report.table([
      { title: "Stage", whole: true, of: (row) => row.stage },
      report.count("In", (row) => row.in),
      { title: "Dropped", name: true, of: (row) => row.dropped.map(([reason, rows]) => `${report.number(rows)} ${report.words(reason)}`).join(", ") || "none" },
      report.count("Out", (row) => row.out),
      { title: "Seconds", number: true, of: (row) => row.seconds.toLocaleString("en-US") },
      { title: "Rows a second", number: true, of: (row) => (row.seconds ? report.number(row.in / row.seconds) : "–") },
    ], stages, { label: "Stages" }));
};

report.movedTable = (title, rows, before, after) => report.el("div", {}, report.el("h3", {}, title), report.table([
  { title: "Entry", name: true, of: (row) => row.entry },
  { title: "List", of: (row) => row.list },
  { title: "Share of matches", number: true, of: (row) => `${report.percent(row.count / before)} → ${report.percent(row.kept / after)}` },
  { title: "Pairs", number: true, of: (row) => `${report.short(row.count)} → ${report.short(row.kept)}` },
], rows, { label: title }));

report.entrySection = () => {
  const { el, data } = report;
  if (!data.moved) return;
  report.section("entries", "Entries", "What an entry had in the pool and has in the curated set, with sample pairs.",
    report.search(),
    el("div", { class: "grid" },
      report.movedTable("Lost most share", data.moved.lost, data.moved.before, data.moved.after),
      report.movedTable("Gained most share", data.moved.gained, data.moved.before, data.moved.after)));
};

report.languages = () => {
  const { languages } = report.data;
  if (!languages || !languages.length) return;
  report.section("languages", "Languages", "Every language has a list of its own and a threshold t of its own. Lists without a t in the recipe follow the leading list's tail share.",
    report.table([
      { title: "List", of: (row) => row.entry_list, sort: (row) => row.entry_list },
      { title: "t", number: true, of: (row) => report.t(row.t), sort: (row) => row.t },
      { title: "Tail share", number: true, of: (row) => report.percent(row.tail_share), sort: (row) => row.tail_share },
      report.count("Pairs", (row) => row.pairs),
      report.count("Curated", (row) => row.kept),
      { title: "Kept", number: true, of: (row) => report.percent(row.kept / row.pairs), sort: (row) => row.kept / row.pairs || 0 },
      report.count("Entries", (row) => row.entries),
      report.count("With a match", (row) => row.entries_matched),
    ], languages, { sortable: true, label: "Languages" }));
};

report.texts = () => {
  const { texts } = report.data;
  if (!texts) return;
  const rows = (shares, names) => names.flatMap((name, at) =>
    ["pool", "kept"].map((side, each) => ({ name, side, value: shares[each][at] || 0 })));
  const legend = [["var(--before)", "all that match"], ["var(--after)", "curated"]];
  const words = texts.words[0].map((_, at) => (at + 1 === texts.words[0].length ? `${at + 1}+` : String(at + 1)));
  const table = (shares, names, title) => ({ columns: [
    { title, of: (row) => row.name },
    { title: "All that match", number: true, of: (row) => report.percent(row.pool) },
    { title: "Curated", number: true, of: (row) => report.percent(row.kept) },
  ], rows: names.map((name, at) => ({ name, pool: shares[0][at], kept: shares[1][at] })) });
  const characters = report.bins(texts.characters_from);
  report.section("texts", "Texts", `How long texts are, of a random ${report.number(texts.sampled[0])} and ${report.number(texts.sampled[1])} of them.`,
    report.el("div", { class: "grid" },
      report.figure({ title: "Words", legend, draw: (width) => report.histogram(width, rows(texts.words, words).filter((_, at) => width > 500 || at < 40), { x: "Words", y: "Share of texts", format: report.percent }), table: table(texts.words, words, "Words") }),
      report.figure({ title: "Characters", legend, draw: (width) => report.histogram(width, rows(texts.characters, characters), { x: "Characters, from", y: "Share of texts", format: report.percent, rotate: true }), table: table(texts.characters, characters, "Characters, from") })));
};

report.duplicates = () => {
  const { el, data: { duplicates } } = report;
  if (!duplicates) return;
  const named = (row) => (row.from === row.to ? String(row.from) : `${report.short(row.from)}–${report.short(row.to)}`);
  const sizes = duplicates.by_size.map((row) => ({ name: named(row), value: row.members }));
  const byWords = Object.entries(duplicates.by_words).map(([name, value]) => ({ name, value }));
  const piece = (side) => ([who, text]) => who === "both" ? `${text} ` : who !== side ? null : [el(side === "stayed" ? "ins" : "del", {}, text), " "];
  report.section("duplicates", "Duplicates", `Texts that are nearly the same form clusters, of which a few stay. The largest${duplicates.share < 1 ? ` of a random ${report.percent(duplicates.share)} of them` : ""} has ${report.number(duplicates.largest)} texts.`,
    el("div", { class: "grid" },
      report.figure({ title: "Texts by size of their cluster", draw: (width) => report.histogram(width, sizes, { x: "Texts in the cluster", y: "Texts", rotate: sizes.length > 8 }),
        table: { columns: [{ title: "Texts in the cluster", of: named }, report.count("Clusters", (row) => row.clusters), report.count("Texts", (row) => row.members)], rows: duplicates.by_size } }),
      byWords.length ? report.figure({ title: "Removed texts by number of words", draw: (width) => report.histogram(width, byWords, { x: "Words", y: "Removed", color: "var(--drop1)" }) }) : null),
    duplicates.lost_most.length ? report.figures("Entries that lost most pairs", { title: "Entries that lost most pairs", columns: [
      { title: "Entry", name: true, of: (row) => row.entry }, { title: "List", of: (row) => row.entry_list }, report.count("Removed", (row) => row.removed),
    ], rows: duplicates.lost_most }) : null,
    duplicates.examples.length ? el("h3", {}, "Examples: a text that stayed, and one of its cluster that was removed") : null,
    duplicates.examples.map(({ size, pieces }) => el("div", { class: "pair" },
      el("p", {}, el("span", { class: "soft" }, `stayed, of ${report.number(size)}: `), pieces.flatMap(piece("stayed"))),
      el("p", {}, el("span", { class: "soft" }, "removed: "), pieces.flatMap(piece("gone"))))));
};

report.images = () => {
  const { el, data: { images } } = report;
  if (!images) return;
  const bars = (title, rows, color) => rows && rows.length ? report.figure({ title, draw: (width) => report.bars(width, rows, { color }) }) : null;
  const bins = (found) => report.bins(found.from).map((name, at) => ({ name, value: found.images[at] }));
  const statuses = images.statuses && Object.entries(images.statuses).map(([name, value]) => ({ name: report.words(name), value })).sort((a, b) => b.value - a.value);
  const failures = (images.failures_by_host || []).map((row) => ({ name: row.host || "(no host)", value: row.failed, more: ` of ${report.number(row.images)}` }));
  const thumbnails = images.thumbnails || [];
  report.section("images", "Images", thumbnails.length ? `A random ${thumbnails.length} of the set, with their texts; sizes are of a shard's ${report.number(images.sampled)} images.` : "Where the images are.",
    thumbnails.length ? el("ul", { class: "images" }, thumbnails.map(({ webp, text }) =>
      el("li", {}, el("img", { src: `data:image/webp;base64,${webp}`, alt: text, title: text, loading: "lazy" })))) : null,
    el("div", { class: "grid" },
      images.sizes ? report.figure({ title: "Short side in pixels", draw: (width) => report.histogram(width, bins(images.sizes), { x: "Pixels, from", y: "Images", rotate: true }) }) : null,
      images.aspects ? report.figure({ title: "Long side over short side", draw: (width) => report.histogram(width, bins(images.aspects), { x: "Ratio, from", y: "Images", rotate: true }) }) : null,
      bars("What came of each image that was asked for", statuses),
      bars("Hosts with most failures", failures, "var(--drop1)"),
      bars(`Hosts of most pairs, of a random ${report.number(images.urls)}`, images.hosts.map(([name, value]) => ({ name: name || "(no host)", value })))));
};

report.filters = () => {
  const { el, data: { filters } } = report;
  if (!filters || !filters.length) return;
  report.section("filters", "Filters", "What rules, evaluation sets and safety checks counted besides the reasons above.",
    report.table([
      { title: "Stage", whole: true, of: (row) => row.stage },
      { title: "What", of: (row) => report.words(row.what) },
      { title: "Counts", name: true, of: (row) => row.lines.map(([name, rows]) => (name ? `${name}: ${rows}` : rows)).join(", ") },
    ], filters, { label: "Filters" }));
};

report.recipe = () => {
  const { el, data: { recipe, versions } } = report;
  const differs = (row) => row.value !== row.bundled && !row.key.startsWith("name");
  const columns = [
    { title: "Key", name: true, of: (row) => el("span", { class: "key" }, row.key) },
    { title: "This set", name: true, of: (row) => el("span", { class: "key" }, row.value ?? "–") },
    { title: recipe.of.replace(/^the /, ""), name: true, of: (row) => (differs(row) ? el("span", { class: "key" }, row.bundled ?? "–") : "the same") },
  ];
  const changed = recipe.lines.filter(differs);
  report.section("recipe", "Recipe", `${changed.length ? report.number(changed.length) : "No"} keys differ from ${recipe.of}.`,
    changed.length ? report.table(columns, changed, { mark: differs, label: "Keys that differ" }) : null,
    el("details", {}, el("summary", {}, "The whole recipe"), report.table(columns, recipe.lines, { mark: differs, label: "The whole recipe" })),
    recipe.credit ? el("p", {}, recipe.credit) : null,
    el("p", { class: "note soft" }, `The page was made with ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(" · ")}.`));
};
