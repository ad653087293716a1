// One series: how complete it is, what it looks like, what to reconstruct from it.

import { Refused, picture, post, save } from "./api.js";
import { action, bar, image, make, setBar } from "./dom.js";
import { JobRow, isFinal } from "./job.js";
import { Options } from "./options.js";

export class SeriesCard {
  /** Whether it is worth looking again soon. */
  isChanging = true;
  #rows = new Map();
  #hasThumbs = false;

  constructor(series, algorithms) {
    this.bar = bar(0, "Angles done");
    this.angles = make("p", { class: "facts" });
    this.thumbs = make("div", { class: "thumbs" });
    this.wrong = make("p", { class: "wrong", role: "alert" });
    this.options = new Options(series, algorithms, (request) => this.#reconstruct(request));
    this.rows = make("div");
    this.element = make("article", { class: "card" },
      make("div", { class: "head" },
        make("h2", {}, series.sample),
        make("span", { class: "row" },
          make("a", { href: series.links.browse, target: "_blank", rel: "noopener noreferrer" }, "Open in Tiled"),
          action("NeXus file", () => save(series.links.nexus), (wrong) => { this.wrong.textContent = wrong; }))),
      make("div", { class: "key" }, series.key),
      make("div", { class: "overview" }, this.thumbs,
        make("div", { class: "state" }, this.bar, this.angles, this.options.element, this.wrong)),
      this.rows);
  }

  show(series, jobs) {
    this.isChanging = !series.is_complete || jobs.some((job) => !isFinal(job));
    setBar(this.bar, series.n_done / series.n_angles);
    const sizes = series.sources.map((s) => `${s.source} ${s.shape[1]} × ${s.shape[0]} at ${+s.pixel_size_nm.toFixed(1)} nm`);
    this.angles.textContent = `${series.n_done} of ${series.n_angles} angles · ${series.elements.join(", ")} · ${sizes.join(" · ")}`;
    this.options.show(series);
    if (!this.#hasThumbs && series.n_done > 0) this.#loadThumbs(series);
    for (const job of [...jobs].reverse()) this.#row(job).update(job);
  }

  async #loadThumbs(series) {
    this.#hasThumbs = true;
    const figures = series.elements.slice(0, 3).map(async (element) => {
      const source = await picture(`api/v1/series/${series.key}/thumbnail/enhanced/${element}.png`);
      return make("figure", {}, image(source, `${element}, first angle`), make("figcaption", {}, element));
    });
    try {
      this.thumbs.replaceChildren(...(await Promise.all(figures)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#hasThumbs = false; // asked for again at the next refresh
    }
  }

  /** The row of a job; a new one goes on top. */
  #row(job) {
    if (!this.#rows.has(job.id)) {
      this.#rows.set(job.id, new JobRow(job));
      this.rows.prepend(this.#rows.get(job.id).element);
    }
    return this.#rows.get(job.id);
  }

  async #reconstruct(request) {
    this.wrong.textContent = "";
    try {
      const job = await post("api/v1/reconstructions", request);
      const row = this.#row(job);
      row.show(job);
      row.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.wrong.textContent = error.message;
    }
  }
}
