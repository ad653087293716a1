// The page: a card for each series, in it what can be asked for and what has been.

import { Refused, getJson, key, takeKeyFromAddress } from "./api.js";
import { find } from "./dom.js";
import { SeriesCard } from "./series.js";

const PAGE = 10;
const MOST_JOBS = 100;
const REFRESH_MS = { something_happens: 5000, quiet: 20000 };
const cards = new Map();
let wanted = PAGE;
let timer;

function showEntrance(refusal = "") {
  clearTimeout(timer);
  key.forget();
  cards.clear();
  find("series").replaceChildren();
  find("workplace").hidden = find("leave").hidden = true;
  find("enter").hidden = false;
  find("refusal").textContent = refusal;
  find("key").value = "";
  find("key").focus();
}

async function refresh() {
  clearTimeout(timer);
  try {
    await showSeries();
    find("notice").textContent = "";
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401 || error.status === 403) return showEntrance(error.message);
    find("notice").textContent = error.message;
  }
  const isQuiet = ![...cards.values()].some((card) => card.isChanging);
  if (!document.hidden) timer = setTimeout(refresh, isQuiet ? REFRESH_MS.quiet : REFRESH_MS.something_happens);
}

async function showSeries() {
  const [page, jobs, algorithms] = await Promise.all([listSeries(), listJobs(), algorithmList()]);
  find("enter").hidden = true;
  find("workplace").hidden = find("leave").hidden = false;
  find("none").hidden = page.total > 0;
  find("more").hidden = page.total <= wanted;
  for (const series of page.items) {
    if (!cards.has(series.key)) cards.set(series.key, new SeriesCard(series, algorithms));
    cards.get(series.key).show(series, jobs.filter((job) => job.series === series.key));
  }
  const elements = page.items.map((series) => cards.get(series.key).element);
  const shown = [...find("series").children];
  if (elements.length !== shown.length || elements.some((element, i) => element !== shown[i])) find("series").replaceChildren(...elements);
}

async function listSeries() {
  const items = [];
  for (;;) {
    const page = await getJson(`api/v1/series?limit=${PAGE}&offset=${items.length}`);
    items.push(...page.items);
    if (page.items.length < PAGE || items.length >= wanted) return { items, total: page.total };
  }
}

const listJobs = async () => (await getJson(`api/v1/reconstructions?limit=${MOST_JOBS}`)).items;

let algorithms;
async function algorithmList() {
  algorithms ??= await getJson("api/v1/algorithms");
  return algorithms;
}

find("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(find("key").value.trim());
  refresh();
});
find("leave").addEventListener("click", () => showEntrance());
find("more").addEventListener("click", () => {
  wanted += PAGE;
  refresh();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && key.get()) refresh();
});

takeKeyFromAddress();
if (key.get()) refresh();
else showEntrance();
