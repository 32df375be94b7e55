// The tab of TensorBoard that compares the runs below its log directory; vae/compare/plugin.py serves it.
import "./d3.min.js";
import "./plot.umd.min.js";
import "./charts.js";

const SECONDS_BETWEEN_UPDATES = 15;
const QUERY = new URLSearchParams();

/** Called by TensorBoard. */
export async function render() {
  document.documentElement.lang = "en";
  const style = document.head.appendChild(document.createElement("link"));
  style.rel = "stylesheet";
  style.href = "./style.css";
  followTheme();
  document.body.innerHTML = `
    <form class="controls" aria-label="What to compare">
      <label>Baseline <select name="baseline"></select></label>
      <label>Quantity <select name="quantity"></select></label>
      <label>Equivalent within <input name="margin" type="number" min="0" step="any" size="6"> nats</label>
      <span role="status" class="note">Reading the runs…</span>
    </form>
    <main></main>`;
  const controls = document.querySelector("form");
  controls.onsubmit = (event) => event.preventDefault();
  controls.onchange = (event) => {
    QUERY.set(event.target.name, event.target.value);
    update(true);
  };
  await update(true);
  setInterval(() => document.hidden || update(false), 1000 * SECONDS_BETWEEN_UPDATES);
  document.addEventListener("visibilitychange", () => document.hidden || update(false));
}

let version = "";
let number = 0;

/** Fetches the comparison and shows it, unless nothing has changed. */
async function update(isNewQuery) {
  const own = ++number;
  const status = document.querySelector("[role=status]");
  if (isNewQuery) version = "";
  QUERY.set("version", version);
  let answer;
  try {
    const response = await fetch(`./comparison?${QUERY}`);
    answer = response.headers.get("Content-Type")?.startsWith("application/json")
      ? await response.json() : { error: `TensorBoard answered with status ${response.status}.` };
  } catch {
    answer = { error: "TensorBoard does not answer. Is it still running?" };
  }
  if (own !== number) return; // there is a later one
  status.classList.toggle("error", Boolean(answer.error));
  if (answer.error) {
    status.textContent = answer.error;
    return;
  }
  if (answer.version !== version) show(answer);
  version = answer.version;
  status.textContent = `${answer.runs} ${answer.runs === 1 ? "run" : "runs"}, read at ${new Date().toLocaleTimeString()}`;
}

function show(answer) {
  const main = document.querySelector("main");
  const open = [...main.querySelectorAll("details[open]")].map((details) => details.id);
  const place = window.scrollY;
  main.innerHTML = answer.html; // escaped by the template
  vae.drawPlots(main, answer.plots);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  const { baseline, quantity, margin } = document.querySelector("form").elements;
  choose(baseline, answer.baselines.map((name) => [name, name]), answer.baseline);
  choose(quantity, answer.quantities, answer.quantity);
  if (document.activeElement !== margin) margin.value = answer.margin;
  window.scrollTo(0, place);
}

function choose(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

/** Takes over TensorBoard's light or dark theme, also when it is switched. */
function followTheme() {
  const board = window.parent.document.body;
  const follow = () => {
    const isDark = board.classList.contains("dark-mode");
    document.documentElement.style.colorScheme = isDark ? "dark" : "light";
  };
  new MutationObserver(follow).observe(board, { attributes: true, attributeFilter: ["class"] });
  follow();
}
