// Draws every `.plot` from the JSON beside it, in the colours of the page's style, and again when those change.
"use strict";
(() => {
  const root = document.documentElement;
  const touch = matchMedia("(pointer: coarse)").matches;
  const plots = [...document.querySelectorAll(".plot")].map((node) => ({
    node,
    ...JSON.parse(node.nextElementSibling.textContent),
  }));

  // "var(--c3) 20%" in a trace is that property of the page's style, with that opacity.
  function paint(value, style) {
    if (typeof value === "string") {
      const found = /^var\((--\w+)\)(?: (\d+)%)?$/.exec(value);
      return found ? shade(style.getPropertyValue(found[1]).trim(), found[2]) : value;
    }
    if (Array.isArray(value)) return value.map((item) => paint(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, paint(item, style)]));
  }

  function shade(hex, percent) {
    if (!percent) return hex;
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${red}, ${green}, ${blue}, ${percent / 100})`;
  }

  const axis = { gridcolor: "var(--grid)", linecolor: "var(--rule)", zeroline: false };
  const base = {
    autosize: true,
    margin: { l: 48, r: 12, t: 28, b: 40 },
    paper_bgcolor: "rgba(0, 0, 0, 0)",
    plot_bgcolor: "rgba(0, 0, 0, 0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: "var(--ink)" },
    legend: { orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" },
    hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--rule)", font: { color: "var(--ink)" } },
    modebar: { bgcolor: "rgba(0, 0, 0, 0)", color: "var(--muted)", activecolor: "var(--ink)" },
    // A finger that meets a chart means to scroll the page.
    dragmode: touch ? false : "zoom",
  };
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  function draw(width) {
    const style = getComputedStyle(root);
    for (const { node, traces, layout } of plots) {
      const whole = { ...base, ...layout };
      whole.xaxis = { ...axis, ...layout.xaxis };
      whole.yaxis = { ...axis, ...layout.yaxis };
      if (width) whole.width = node.closest(".many") ? (width - 20) / 2 : width;
      Plotly.react(node, paint(traces, style), paint(whole, style), config);
    }
  }

  const peek = document.getElementById("peek");
  function show({ points, event }, pictures) {
    const picture = pictures[points[0].customdata];
    if (!picture || !event) return;
    peek.firstElementChild.src = picture;
    peek.style.left = `${Math.min(event.clientX + 18, innerWidth - 110)}px`;
    peek.style.top = `${Math.max(event.clientY - 110, 8)}px`;
    peek.hidden = false;
  }

  draw();
  for (const { node, pictures } of plots.filter((plot) => plot.pictures.length)) {
    node.on("plotly_hover", (event) => show(event, pictures));
    node.on("plotly_unhover", () => { peek.hidden = true; });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    draw(660); // The text of an A4 or Letter page with the margins of the style, in CSS pixels.
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    draw();
  });
})();
