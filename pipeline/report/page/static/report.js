// The page of one output, top to bottom.
report.header = () => {
  const { el, data } = report;
  const { stages } = data;
  const stage = (name) => stages.find((one) => one.stage === name);
  const first = stages[0], balance = stage("balance"), matched = stage("match");
  const ts = data.balance ? Object.entries(data.balance.t) : [];
  const lead = data.balance && data.balance.what_if ? data.balance.what_if.list : ts.length ? ts[0][0] : null;
  const t = lead ? data.balance.t[lead] : null;
  const matches = data.balance && d3.sum(data.languages, (row) => row.entries_matched);
  document.getElementById("header").append(
    el("div", { class: "title" }, el("h1", {}, data.name), report.theme()),
    first && data.pairs_left !== undefined ? el("p", { class: "lede" },
      `From ${report.number(first.in)} ${first.stage === "extract" ? "image links" : "pairs"} to a balanced set of ${report.number(data.pairs_left)}`
      + (t ? `: a pair of an entry that c pairs match is kept with probability t / c, with t = ${report.number(t)}; entries below t keep all they have.` : ".")) : null,
    report.tiles([
      first && ["In", report.number(first.in)],
      matched && ["Match an entry", report.number(matched.out)],
      balance && ["Less near-duplicates", report.number(balance.in)],
      data.pairs_left !== undefined && ["Curated", report.number(data.pairs_left)],
      matches && ["Entries with a match", report.number(matches)],
      t && [ts.length > 1 ? `t (${lead})` : "t", report.number(t)],
      ts.length > 1 && ["Languages", report.number(ts.length)],
    ]));
};

report.header();
for (const section of ["stages", "balance", "entrySection", "languages", "texts", "duplicates", "images", "filters", "recipe"]) {
  if (section !== "balance" || report.data.balance) report[section]();
}
