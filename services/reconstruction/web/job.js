// One reconstruction: live while it runs, then its slices and what the data say of them.

import { Refused, listen, picture, post, save } from "./api.js";
import { action, bar, image, make, setBar } from "./dom.js";

const PLANES = [["xz", "slice across the rotation axis"], ["xy", "slice along the beam"], ["yz", "slice from the side"]];
export const isFinal = (job) => ["succeeded", "failed", "cancelled"].includes(job.state);

const percent = (value) => `${(100 * value).toPrecision(2)} %`;

export class JobRow {
  #following = false;
  #pictured = false;

  constructor(job) {
    this.chip = make("span", { class: "chip" });
    this.bar = bar(0, "Progress");
    this.doing = make("p", { class: "facts" });
    this.stop = make("button", { class: "quiet", type: "button", onclick: () => this.#cancel(job) }, "Stop");
    this.links = make("span", { class: "row" });
    this.slices = make("div", { class: "slices" });
    this.wrong = make("p", { class: "wrong", role: "alert" });
    const { source, algorithm } = job.request;
    this.element = make("section", { class: "job" },
      make("div", { class: "head" },
        make("h3", {}, `${algorithm} of the ${source} maps, ${new Date(job.created_at).toLocaleString()}`),
        make("span", { class: "row" }, this.links, this.stop, this.chip)),
      this.bar, this.doing, this.wrong, this.slices);
  }

  /** What a list says of the job; while its events come in they know better. */
  update(job) {
    if (!this.#following) this.show(job);
  }

  show(job) {
    this.chip.textContent = job.state;
    this.chip.className = `chip ${job.state}`;
    setBar(this.bar, job.progress);
    this.bar.hidden = this.stop.hidden = isFinal(job);
    this.doing.className = job.error ? "wrong" : "facts";
    this.doing.textContent = job.error ?? (job.result ? summary(job) : `${job.message} …`);
    if (job.result && !this.#pictured) this.#showResult(job);
    if (!isFinal(job) && !this.#following) this.#follow(job);
  }

  async #follow(job) {
    this.#following = true;
    try {
      await listen(job.links.events, (changed) => this.show(changed));
    } catch (error) {
      if (error instanceof TypeError || error instanceof Refused) return; // the connection went: the next refresh takes it up again
      throw error;
    } finally {
      this.#following = false;
    }
  }

  async #cancel(job) {
    try {
      this.show(await post(job.links.cancel));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.doing.textContent = error.message;
    }
  }

  async #showResult(job) {
    this.#pictured = true;
    this.links.replaceChildren(
      make("a", { href: job.links.browse, target: "_blank", rel: "noopener noreferrer" }, "Volume in Tiled"),
      action("NeXus file", () => save(job.links.nexus), (wrong) => { this.wrong.textContent = wrong; }));
    try {
      this.slices.replaceChildren(...(await Promise.all(job.result.elements.map((element) => planes(job, element)))));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#pictured = false;
    }
  }
}

/** The three middle slices of one element side by side, in true proportion. */
async function planes(job, element) {
  const [, y, x] = job.result.shape;
  const columns = { xy: x, xz: x, yz: y };
  const figures = PLANES.map(async ([plane, title]) => {
    const source = await picture(`${job.links.job}/slice/${element}/${plane}.png`);
    const figure = make("figure", {}, image(source, `${element}, ${title}`), make("figcaption", {}, `${element} ${plane}`));
    figure.style.flexGrow = columns[plane];
    return figure;
  });
  return make("div", {}, make("div", { class: "planes" }, ...(await Promise.all(figures))), await resolution(job, element));
}

/** What halves of the angles tell, with their curve on demand; null where they were not compared. */
async function resolution(job, element) {
  const halves = job.result.resolution[element] ?? [];
  if (!halves.length) return null;
  const curve = make("div", { class: "curve" });
  const more = make("details", {}, make("summary", {}, `${element}: ${period(halves[0].half_bit)} by half a bit, from halves of the fitted maps`),
    ...halves.map((one) => make("p", { class: "facts" },
      `${one.source} maps: half bit ${period(one.half_bit)}, one bit ${period(one.one_bit)}, 1/7 ${period(one.one_seventh)}. ${one.note}`)),
    curve);
  more.addEventListener("toggle", async () => {
    if (!more.open || curve.firstChild) return;
    try {
      curve.append(image(await picture(`${job.links.job}/resolution/${element}.png`), `${element}, Fourier shell correlation`));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      curve.textContent = error.message;
    }
  });
  return more;
}

const period = (words) => words.split(",")[0].replace("<=", "≤");

function summary({ result }) {
  const [z, y, x] = result.shape;
  const sigma = result.centre_sigma_px === null ? "" : ` ± ${result.centre_sigma_px.toPrecision(1)}`;
  const shift = result.largest_shift_px === null ? "" : `, projections moved by up to ${result.largest_shift_px.toFixed(1)} coarse px`;
  const left = result.excluded_angles.length ? `, ${result.excluded_angles.length} left out` : "";
  const residuals = Object.entries(result.quality).map(([element, quality]) => `${element} ${percent(quality.reprojection_residual)}`);
  return `${x} × ${y} × ${z} voxels of ${+result.voxel_size_nm.toFixed(1)} nm from ${result.n_angles_used} angles${left}. `
    + `Rotation axis at ${result.centre_px.toFixed(2)}${sigma} px${result.centre_method ? ` (${result.centre_method})` : ""}${shift}. The angles support ${Math.round(result.angular_sampling_limit_nm)} nm `
    + `over the whole field. Left unexplained by the volume: ${residuals.join(", ")}.`;
}
