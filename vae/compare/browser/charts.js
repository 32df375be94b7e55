// Draws the plots of a comparison with Observable Plot: vae/compare/plot.py says what a plot consists of.
"use strict";
(() => {
  const FONT = 11;
  const LABEL_WIDTH = 150; // of the names at the ends of the lines
  const WIDE = 560; // pixels from which a panel has room for them
  const MOST_RUNS = 4; // named in a tip
  const rounded = d3.format(".4~g");

  /** Draws each plot into the figure that has its name in `data-plot`, and again if the figure's width changes. */
  function drawPlots(root, plots) {
    for (const plot of plots) {
      const figure = root.querySelector(`[data-plot="${CSS.escape(plot.name)}"]`);
      const panels = figure.querySelector(".panels");
      panels.classList.toggle("several", plot.panels.length > 1);
      if (plot.panels.length > 1) {
        const note = document.createElement("p");
        note.className = "note";
        note.textContent = `${plot.y.label || plot.title}, by ${plot.x.label}`;
        panels.before(note);
      }
      const places = plot.panels.map((panel) => newPanel(panels, plot, panel));
      const points = plot.panels.map(pointsOf);
      let width = 0;
      new ResizeObserver(() => {
        if (places[0].clientWidth && places[0].clientWidth !== width) {
          width = places[0].clientWidth;
          const size = { width, height: heightOf(plot, width) };
          const scales = {
            x: scaleOf(plot, points.flat(), "x", size.width),
            y: scaleOf(plot, points.flat(), "y", size.height),
          };
          places.forEach((place, at) => drawPanel(place, plot, plot.panels[at], points[at], size, scales));
        }
      }).observe(panels);
      addLegend(figure, plot);
    }
  }

  function newPanel(panels, plot, panel) {
    const place = panels.appendChild(document.createElement("div"));
    place.className = "panel";
    place.tabIndex = 0;
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", `${[plot.title, panel.title].filter(Boolean).join(": ")}. Arrow keys read values.`);
    if (panel.title) place.appendChild(document.createElement("h4")).textContent = panel.title;
    return place;
  }

  /** The points of a panel, each with the series that it belongs to. */
  function pointsOf(panel) {
    return panel.series.flatMap((series) => {
      const { x, y, low, high, text, run } = series.points;
      return x.map((value, at) => ({
        x: value, y: y[at], low: low?.[at] ?? null, high: high?.[at] ?? null, text: text?.[at] ?? null,
        runs: run ? [run[at]] : series.runs, series,
      }));
    });
  }

  function heightOf(plot, width) {
    if (plot.y.names.length) return 70 + 26 * plot.y.names.length;
    return plot.panels.length > 1 ? 150 : Math.min(420, 0.7 * width);
  }

  function drawPanel(place, plot, panel, points, { width, height }, scales) {
    const hasLabels = width >= WIDE && plot.panels.length === 1 && isOfLines(panel);
    const drawn = Plot.plot({
      width,
      height,
      marginLeft: plot.y.names.length ? Math.min(0.4 * width, 190) : 46,
      marginRight: hasLabels ? LABEL_WIDTH : 14,
      marginTop: 22,
      style: { fontSize: `${FONT}px`, background: "none" },
      ...scales,
      marks: [
        ...stripes(plot),
        ...panel.series.flatMap((series) => marksOf(series, points.filter((point) => point.series === series))),
        Plot.tip(points.filter(isKnown), Plot.pointer({ x: "x", y: "y", title: (point) => words(plot, point) })),
      ],
    });
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", plot.description);
    place.querySelector("svg")?.remove();
    place.querySelector("output")?.remove();
    const spoken = document.createElement("output");
    place.append(drawn, spoken);
    drawn.addEventListener("input", () => (spoken.textContent = drawn.value ? words(plot, drawn.value) : ""));
    readByKeys(place, drawn, points.filter(isKnown));
    if (hasLabels) labelEnds(drawn, panel, points, width - LABEL_WIDTH + 6, height);
  }

  function isKnown(point) {
    return point.x !== null && point.y !== null;
  }

  function isOfLines(panel) {
    return panel.series.every((series) => series.mark === "line" && !series.faint);
  }

  function scaleOf(plot, points, name, length) {
    const axis = plot[name], isSmall = plot.panels.length > 1;
    const label = isSmall ? null : axis.label || null; // a note above small panels has both
    if (axis.names.length) {
      return {
        label, domain: [axis.names.length - 0.5, -0.5], ticks: d3.range(axis.names.length), grid: true,
        tickFormat: (place) => shortened(axis.names[place], 28),
      };
    }
    const [lowest, highest] = d3.extent(points.map((point) => point[name]).filter((value) => value !== null));
    const domain = [axis.limits[0] ?? lowest, axis.limits[1] ?? highest];
    const scale = { label, type: axis.scale, domain, nice: axis.limits.every((limit) => limit === null), grid: true };
    if (axis.scale === "symlog") {
      return { ...scale, constant: axis.linear_up_to, ticks: symlogTicks(domain, axis.linear_up_to), tickFormat: rounded };
    }
    if (axis.scale === "log") {
      const room = [domain[0] / 1.1, domain[1] * 1.1];
      return { ...scale, domain: room, nice: false, tickFormat: (value) => (/^[125]/.test(`${value}`) ? `${value}` : "") };
    }
    return { ...scale, ticks: Math.min(8, Math.floor(length / (name === "x" ? 65 : 35))) };
  }

  /** Ticks at 0 and the powers of ten, from the end of the linear part on. */
  function symlogTicks([low, high], linear) {
    if (Math.max(-low, high) <= 3 * linear) return d3.ticks(low, high, 5);
    const powers = d3.range(0, 12).map((power) => linear * 10 ** power);
    return [...powers.map((power) => -power).reverse(), 0, ...powers].filter((tick) => tick >= low && tick <= high);
  }

  /** What counts as 0: a stripe, or a line if it has no width. */
  function stripes(plot) {
    const style = { fill: "currentColor", fillOpacity: 0.1 };
    const line = { stroke: "currentColor", strokeOpacity: 0.5 };
    const { margin: ofX } = plot.x, { margin: ofY } = plot.y;
    return [
      ...(ofX === null ? [] : [Plot.rect([0], { x1: -ofX, x2: ofX, ...style }), Plot.ruleX([0], line)]),
      ...(ofY === null ? [] : [Plot.rect([0], { y1: -ofY, y2: ofY, ...style }), Plot.ruleY([0], line)]),
    ];
  }

  function marksOf(series, points) {
    const { color, dash } = series.style;
    const common = { x: "x", y: "y", ariaDescription: series.name, clip: true };
    const stroke = { stroke: color, strokeWidth: series.faint ? 1 : 1.8, strokeOpacity: series.faint ? 0.6 : 1 };
    const texts = points.filter((point) => point.text !== null);
    const marks = {
      line: () => [
        Plot.areaY(points, { ...common, y: undefined, y1: "low", y2: "high", fill: color, fillOpacity: 0.2 }),
        Plot.line(points, { ...common, ...stroke, strokeDasharray: dash }),
      ],
      dots: () => [Plot.dot(points, { ...common, fill: color, r: 3 })],
      crosses: () => [Plot.dot(points, { ...common, ...stroke, symbol: "times", r: 4 })],
      intervals: () => [
        Plot.ruleY(points, { ...common, x: undefined, x1: "low", x2: "high", ...stroke }),
        Plot.dot(points, { ...common, fill: color, r: 4 }),
      ],
    };
    return [
      ...marks[series.mark](),
      Plot.text(texts, { x: "x", y: "y", text: "text", textAnchor: "start", dx: 5, dy: -6, fontSize: 9 }),
    ];
  }

  function words(plot, point) {
    const range = point.low === null || point.high === null
      ? "" : ` (${rounded(point.low)} to ${rounded(point.high)})`;
    const ofNames = plot.y.names.length > 0;
    const { runs } = point;
    const more = runs.length > MOST_RUNS ? `, and ${runs.length - MOST_RUNS} more` : "";
    return [
      point.series.name,
      point.text === null ? "" : `beta ${point.text}`,
      `${plot.x.label}: ${rounded(point.x)}${ofNames ? range : ""}`,
      ofNames ? "" : `${plot.y.label || "value"}: ${rounded(point.y)}${range}`,
      runs.length ? `runs: ${runs.slice(0, MOST_RUNS).join(", ")}${more}` : "",
    ].filter(Boolean).join("\n");
  }

  /** Lets the arrow keys show the tip of one point after the other: left and right within a series, up and down across. */
  function readByKeys(place, drawn, points) {
    if (!points.length) return;
    const series = [...new Set(points.map((point) => point.series))];
    let at = -1;
    place.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") return drawn.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));
      if (!step && !across) return;
      event.preventDefault();
      if (at < 0 || !across) {
        at = Math.max(0, Math.min(points.length - 1, at < 0 ? 0 : at + step));
      } else {
        const next = series[(series.indexOf(points[at].series) + across + series.length) % series.length];
        const own = points.filter((point) => point.series === next);
        at = points.indexOf(d3.least(own, (point) => Math.abs(point.x - points[at].x)));
      }
      const box = drawn.getBoundingClientRect(), zoom = box.width / drawn.width.baseVal.value;
      const [x, y] = ["x", "y"].map((name) => drawn.scale(name).apply(points[at][name]) * zoom);
      const options = { pointerType: "mouse", clientX: box.left + x, clientY: box.top + y, bubbles: true };
      drawn.dispatchEvent(new PointerEvent("pointermove", options));
    };
    place.onblur = () => drawn.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));
  }

  /** Writes the name of each series at the end of its line, moved apart where lines end together. */
  function labelEnds(drawn, panel, points, x, height) {
    const scale = drawn.scale("y");
    const ends = panel.series.map((series) => {
      const end = points.filter((point) => point.series === series && isKnown(point)).at(-1);
      return { series, y: end ? scale.apply(end.y) : height };
    });
    ends.sort((one, other) => one.y - other.y);
    ends.forEach((end, at) => (end.y = Math.max(end.y, at ? ends[at - 1].y + FONT + 1 : FONT)));
    for (let at = ends.length - 1, limit = height - 24; at >= 0; at--, limit -= FONT + 1) {
      ends[at].y = Math.min(ends[at].y, limit);
    }
    d3.select(drawn).append("g").attr("aria-hidden", true).attr("text-anchor", "start")
      .selectAll("text").data(ends).join("text")
      .attr("x", x).attr("y", (end) => end.y).attr("dy", "0.32em").attr("font-size", FONT - 1)
      .attr("fill", (end) => end.series.style.color)
      .text((end) => shortened(end.series.name, 26));
  }

  /** Lists the series below a plot of several; pointing at one takes the others back. */
  function addLegend(figure, plot) {
    const named = new Map(plot.panels.flatMap((panel) => panel.series).map((series) => [series.name, series.style]));
    named.delete("");
    if (plot.y.names.length || plot.panels[0].series.every((series) => series.name === plot.panels[0].title)) return;
    if (named.size < 2) return;
    const legend = document.createElement("ul");
    legend.className = "legend";
    for (const [name, style] of named) {
      const entry = legend.appendChild(document.createElement("li"));
      entry.append(swatch(style), ` ${name}`);
      entry.onpointerenter = () => emphasize(figure, named, name);
      entry.onpointerleave = () => emphasize(figure, named, null);
    }
    figure.querySelector(".panels").after(legend);
  }

  function emphasize(figure, named, name) {
    for (const group of figure.querySelectorAll("svg > g[aria-description]")) {
      const label = group.getAttribute("aria-description");
      if (named.has(label)) group.style.opacity = name === null || label === name ? "" : 0.12;
    }
  }

  function swatch({ color, dash }) {
    const svg = d3.create("svg").attr("class", "swatch").attr("viewBox", "0 0 30 8").attr("aria-hidden", true);
    svg.append("line").attr("x2", 30).attr("y1", 4).attr("y2", 4).attr("stroke", color).attr("stroke-width", 2.5)
      .attr("stroke-dasharray", dash);
    return svg.node();
  }

  function shortened(text, length) {
    return text.length > length ? `${text.slice(0, length - 1)}…` : text;
  }

  globalThis.vae = { drawPlots };
})();
