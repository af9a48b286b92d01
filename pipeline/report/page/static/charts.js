// Drawings that several sections use, by Observable Plot.
report.plot = (options) => Plot.plot({ className: "plot", marginBottom: 38, ...options });

// Lines over a common x: {x, y} points by series {points, color, width, dash, name}.
report.lines = (width, series, options) =>
  report.plot({
    width,
    height: Math.min(400, Math.max(260, width * 0.62)),
    marginLeft: 54,
    x: { label: options.x, type: options.logX ? "log" : "linear", tickFormat: report.short, grid: false, ticks: width < 420 ? 4 : undefined },
    y: { label: options.y, type: options.logY ? "log" : "linear", tickFormat: options.yFormat || report.short, grid: true, zero: !options.logY },
    marks: [
      ...(options.marks || []),
      ...series.map((one) => Plot.line(one.points, {
        x: "x", y: "y", stroke: one.color, strokeWidth: one.width || 2.2, strokeDasharray: one.dash,
      })),
      options.tip ? Plot.tip(series.flatMap((one) => one.points.map((point) => ({ ...point, name: one.name }))), Plot.pointer({
        x: "x", y: "y", title: (point) => options.tip(point), fill: "var(--plot-background)",
      })) : null,
    ],
  });

// Horizontal bars of {name, value}, with their numbers.
report.bars = (width, rows, options = {}) =>
  report.plot({
    width,
    height: rows.length * 40 + 10,
    marginLeft: 4, marginRight: 4, marginTop: 4, marginBottom: 4,
    x: { axis: null, domain: [0, Math.max(1, d3.max(rows, (row) => row.value))] },
    y: { axis: null, domain: rows.map((row) => row.name), padding: 0.1 },
    marks: [
      Plot.barX(rows, { x: "value", y: "name", fill: options.color || "var(--after)", insetTop: 18, rx: 2 }),
      Plot.text(rows, {
        x: 0, y: "name", dy: -9, textAnchor: "start", fontSize: 13, fill: "currentColor", lineWidth: width / 16, textOverflow: "ellipsis",
        text: (row) => `${row.name}  ${report.number(row.value)}${row.more || ""}`,
      }),
    ],
  });

// A histogram of one or two sides: rows {at, name, value, side}.
report.histogram = (width, rows, options) =>
  report.plot({
    width,
    height: 240,
    marginLeft: 50,
    marginBottom: 44,
    x: { label: options.x, type: "band", domain: [...new Set(rows.map((row) => row.name))], padding: 0.15,
      tickRotate: width < 420 || options.rotate ? -40 : 0 },
    y: { label: options.y, grid: true, tickFormat: options.format || report.short },
    marks: rows.some((row) => row.side)
      ? [Plot.barY(rows.filter((row) => row.side === "pool"), { x: "name", y: "value", fill: "var(--before)", fillOpacity: 0.75 }),
         Plot.barY(rows.filter((row) => row.side === "kept"), { x: "name", y: "value", fill: "var(--after)", insetLeft: 3, insetRight: 3 }),
         Plot.ruleY([0])]
      : [Plot.barY(rows, { x: "name", y: "value", fill: options.color || "var(--after)" }), Plot.ruleY([0])],
  });

// Names of bins that start at these values; the last one has no end.
report.bins = (from, show = String) => from.map((low, at) => at + 1 === from.length ? `${show(low)}+` : show(low));

// The stages as one drawing: what is left of the rows, and what was dropped, by reason.
report.funnel = (width, stages) => {
  const drops = ["var(--drop1)", "var(--drop2)", "var(--drop3)", "var(--drop4)"];
  const pieces = stages.flatMap((stage) => {
    let x = stage.out;
    const out = [{ stage: stage.stage, x1: 0, x2: stage.out, color: "var(--after)", said: `${stage.stage}: ${report.number(stage.out)} rows out` }];
    stage.dropped.forEach(([reason, rows], at) => {
      out.push({ stage: stage.stage, x1: x, x2: x + rows, color: drops[at % drops.length], said: `${stage.stage}: ${report.number(rows)} dropped, ${report.words(reason)}` });
      x += rows;
    });
    return out;
  });
  const most = d3.max(stages, (stage) => stage.in);
  const said = (stage) => {
    const gone = stage.dropped.map(([reason, rows]) => `${report.number(rows)} ${report.words(reason)}`).join(", ");
    return `${stage.stage}: ${report.number(stage.out)}${gone ? `  (−${gone})` : ""}`;
  };
  return report.plot({
    width,
    height: stages.length * 50 + 8,
    marginLeft: 2, marginRight: 2, marginTop: 2, marginBottom: 2,
    x: { axis: null, domain: [0, most || 1] },
    y: { axis: null, domain: stages.map((stage) => stage.stage), padding: 0.08 },
    marks: [
      Plot.barX(pieces, { x1: "x1", x2: "x2", y: "stage", fill: "color", insetTop: 21, rx: 1 }),
      Plot.text(stages, {
        x: 0, y: "stage", dy: -11, textAnchor: "start", fontSize: 13, fill: "currentColor", lineWidth: width / 16, textOverflow: "ellipsis", text: said,
      }),
      Plot.tip(pieces, Plot.pointer({ x1: "x1", x2: "x2", y: "stage", title: "said", fill: "var(--plot-background)" })),
    ],
  });
};
