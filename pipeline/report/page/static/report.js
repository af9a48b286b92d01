// The page of one output, top to bottom.
report.header = () => {
  const { el, data } = report;
  const { stages } = data;
  const stage = (name) => stages.find((one) => one.stage === name);
  const first = stages[0], balance = stage("balance"), matched = stage("match");
  const ts = data.balance ? Object.entries(data.balance.t) : [];
  const lead = data.balance && data.balance.lists.length ? data.balance.lists[0].list : null;
  const t = lead ? data.balance.t[lead] : null;
  const left = data.later && data.later.length ? data.later.at(-1)[1] : data.curated;
  const matches = data.balance && d3.sum(data.languages, (row) => row.entries_matched);
  document.getElementById("header").append(
    el("div", { class: "title" }, el("h1", {}, data.name), report.theme()),
    first && data.curated !== undefined ? el("p", { class: "lede" },
      `From ${report.number(first.in)} ${first.stage === "extract" ? "image links" : "pairs"} to a set of ${report.number(left)}. ${data.balance ? report.rule() : ""}`) : null,
    report.tiles([
      first && ["In", report.number(first.in)],
      matched && ["Match an entry", report.number(matched.out)],
      balance && ["Less near-duplicates", report.number(balance.in)],
      data.curated !== undefined && ["Curated", report.number(data.curated)],
      ...(data.later || []).map(([title, rows]) => [title, report.number(rows)]),
      matches && ["Entries with a match", report.number(matches)],
      t && [ts.length > 1 ? `t (${lead})` : "t", report.t(t)],
      ts.length > 1 && ["Languages", report.number(ts.length)],
    ]));
};

report.header();
for (const section of ["stages", "balance", "entrySection", "languages", "texts", "duplicates", "images", "filters", "recipe"]) {
  if (section !== "balance" || report.data.balance) report[section]();
}
