// The search over entries: unpacks them when they are first asked for, finds names, shows sample pairs.
report.entries = { samples: new Map() };

report.unpack = async (text, lists, number) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const content = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = new DataView(content.buffer).getUint32(0, true);
  const names = new TextDecoder().decode(content.subarray(4, 4 + size)).split("\n");
  names.pop();
  const column = (at) => {
    const found = new Float64Array(number);
    for (let plane = 0; plane < 7; plane++) {
      const start = 4 + size + (at * 8 + plane) * number, weight = 2 ** (8 * plane);
      for (let i = 0; i < number; i++) found[i] += content[start + i] * weight;
    }
    return found;
  };
  return { names, lists: lists.flatMap(([name, rows]) => Array(rows).fill(name)), count: column(0), kept: column(1), probability: column(2) };
};

report.load = async () => {
  if (report.loaded) return report.loaded;
  const { search, samples = [] } = report.data;
  report.loaded = (async () => {
    report.packs = search.entries ? [await report.unpack(document.getElementById("page-entries").textContent, search.lists, search.entries)] : [];
    samples.forEach((sample) => sample.entries.forEach((at) => {
      if (!report.entries.samples.has(at)) report.entries.samples.set(at, []);
      report.entries.samples.get(at).push(sample);
    }));
  })();
  return report.loaded;
};

// Files beside the page call this with their pack.
report.side = async (number, text) => {
  const lists = report.data.search.side[number];
  report.packs.push(await report.unpack(text, lists, d3.sum(lists, ([, rows]) => rows)));
  report.sideLoaded();
};

report.find = (wanted, list, most) => {
  const text = wanted.trim().toLowerCase();
  const found = [];
  report.packs.forEach((pack, first) => {
    for (let at = 0; at < pack.names.length; at++) {
      if (list && pack.lists[at] !== list) continue;
      const name = pack.names[at].toLowerCase();
      const place = name.indexOf(text);
      if (place < 0) continue;
      const rank = name === text ? 0 : place === 0 ? 1 : 2;
      found.push({ name: pack.names[at], list: pack.lists[at], count: pack.count[at], kept: pack.kept[at], probability: pack.probability[at] / 1e6, rank, at: first ? -1 : at });
    }
  });
  found.sort((a, b) => a.rank - b.rank || b.count - a.count);
  return { rows: found.slice(0, most), total: found.length };
};

report.samplesOf = (row) => {
  const { el } = report;
  const samples = (row.at < 0 ? [] : report.entries.samples.get(row.at) || []).slice(0, 6);
  if (!samples.length) return el("p", { class: "note" }, "No pair of it is among the samples of this page.");
  return el("ul", { class: "samples" }, samples.map((sample) => el("li", {},
    sample.webp ? el("img", { src: `data:image/webp;base64,${sample.webp}`, alt: "" }) : null,
    el("span", {}, sample.text, sample.host ? el("span", { class: "soft" }, ` (${sample.host})`) : null))));
};

report.search = () => {
  const { el, data } = report;
  if (!data.search || !(data.search.entries || data.search.side.length)) return null;
  const most = 60;
  const lists = [...new Set(data.search.lists.map(([name]) => name))];
  const results = el("div", { id: "entry-results", "aria-live": "polite" });
  const side = el("p", { class: "note" });
  const input = el("input", { type: "search", id: "entry-search", autocomplete: "off", spellcheck: "false", placeholder: "dog, red car, 東京 …" });
  const select = el("select", { id: "entry-list" }, el("option", { value: "" }, "all lists"), lists.map((name) => el("option", { value: name }, name)));
  const show = async () => {
    await report.load();
    const { rows, total } = report.find(input.value, select.value, most);
    if (!rows.length) {
      results.replaceChildren(el("p", {}, "No entry with a match has this in its name. An entry that no pair matches is not listed."));
      return;
    }
    const named = `${report.number(total)} ${total === 1 ? "entry" : "entries"}${total > most ? `, the ${most} ${input.value.trim() ? "nearest" : "of most matches"}` : ""}`;
    const open = (row, button) => {
      const line = button.closest("tr");
      const shown = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!shown));
      if (shown) line.nextElementSibling.remove();
      else line.after(el("tr", {}, el("td", { colspan: "5" }, report.samplesOf(row))));
    };
    results.replaceChildren(report.table([
      { title: "Entry", name: true, of: (row) => {
        const button = el("button", { type: "button", "aria-expanded": "false", on: { click: () => open(row, button) } }, row.name);
        return button;
      } },
      { title: "List", of: (row) => row.list },
      { title: "Match", number: true, of: (row) => report.number(row.count) },
      { title: "Probability", number: true, of: (row) => report.percent(row.probability) },
      { title: "Curated", number: true, of: (row) => report.number(row.kept) },
    ], rows, { caption: `${named}; choose one for sample pairs`, label: "Entries found" }));
  };
  let wait = 0;
  input.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(show, 80); });
  select.addEventListener("change", show);
  report.sideLoaded = () => { report.waiting -= 1; if (!report.waiting) { side.replaceChildren("All entries are loaded."); show(); } };
  if (data.search.side.length) {
    const load = el("button", { type: "button", on: { click: async () => {
      await report.load();
      report.waiting = data.search.side.length;
      side.replaceChildren("Loading …");
      data.search.side.forEach((_, number) => document.body.append(el("script", { src: `report-entries/${String(number).padStart(4, "0")}.js`,
        on: { error: () => side.replaceChildren("The folder report-entries is not beside this page.") } })));
    } } }, "Load the rest");
    const rest = d3.sum(data.search.side.flat(), ([, rows]) => rows);
    side.append(`This page holds the ${report.number(data.search.entries)} entries of at least ${report.number(data.search.least)} matches. The other ${report.number(rest)} are in files beside it. `, load);
  }
  // Entries are unpacked when the section comes into sight, so that the page opens at once.
  new IntersectionObserver((seen, observer) => {
    if (seen.some((one) => one.isIntersecting)) { observer.disconnect(); show(); }
  }, { rootMargin: "600px" }).observe(results);
  return [
    el("div", { class: "controls" },
      el("div", { class: "grow" }, el("label", { for: "entry-search" }, "Search entries"), input),
      lists.length > 1 ? el("div", {}, el("label", { for: "entry-list" }, "List"), select) : null),
    side, results,
  ];
};
