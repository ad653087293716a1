// What may be chosen for a reconstruction; the form of each algorithm comes from the JSON schema that the service tells.

import { make } from "./dom.js";

/** Of parameters whose names say little; others are shown by their own. */
const LABELS = {
  n_iterations: "Iterations",
  n_subsets: "Subsets",
  order: "Angles of a subset",
  beta: "Penalty (beta)",
  delta: "Edges beyond (delta)",
  tolerance: "Stop at a change of",
  cutoff: "Cutoff, of Nyquist",
};
const labelOf = (name) => LABELS[name] ?? `${name[0].toUpperCase()}${name.slice(1).replaceAll("_", " ")}`;

let serial = 0;

function field(label, input) {
  input.id = `field-${(serial += 1)}`;
  return make("div", {}, make("label", { for: input.id }, label), input);
}

const select = (values, chosen) => make("select", {}, ...values.map((value) => make("option", { value, selected: value === chosen }, value)));

/** What a parameter is when it is given; null, where allowed, leaves the choice to the service. */
const given = (schema) => schema.anyOf?.find((part) => part.type !== "null") ?? schema;

function parameterInput(schema) {
  const { type } = given(schema);
  const choices = schema.enum ?? (schema.const === undefined ? null : [schema.const]);
  if (choices) return select(choices, schema.default);
  if (schema.type === "boolean") return select(["true", "false"], String(schema.default));
  const isNumber = type === "number" || type === "integer";
  const placeholder = schema.default === null ? "from the data" : "";
  return make("input", { type: isNumber ? "number" : "text", step: type === "integer" ? "1" : "any", value: schema.default ?? "", placeholder });
}

function parameterValue(schema, text) {
  if (text === "") return undefined;
  const { type } = given(schema);
  if (type === "boolean") return text === "true";
  return type === "number" || type === "integer" ? Number(text) : text;
}

/** A number, or the words as they are: the service says what is allowed. */
const centreOf = (text) => (text === "" ? "auto" : Number.isNaN(Number(text)) ? text : Number(text));

export class Options {
  constructor(series, algorithms, ask) {
    this.algorithms = algorithms;
    this.elements = series.elements.map((name) => make("input", { type: "checkbox", value: name, checked: true }));
    this.source = select(["enhanced", "fitted"], "enhanced");
    this.algorithm = select(algorithms.map((algorithm) => algorithm.name), algorithms.find((algorithm) => algorithm.is_default).name);
    this.centre = make("input", { type: "text", value: "auto", title: "auto, refine (slower), or pixels from the left edge" });
    this.align = make("select", {}, make("option", { value: "none" }, "as measured"),
      ...["sum", ...series.elements].map((name) => make("option", { value: name }, `wobble, seen on ${name}`)));
    this.angles = make("input", { type: "number", step: "1", min: String(series.n_angles), placeholder: `the ${series.n_angles} measured` });
    this.fsc = make("input", { type: "checkbox", checked: true });
    this.incomplete = make("input", { type: "checkbox" });
    this.incompleteField = make("label", { class: "check" }, this.incomplete, "although angles are missing");
    this.parameters = make("div", { class: "parameters" });
    this.button = make("button", { class: "primary" }, "Reconstruct");
    this.algorithm.addEventListener("change", () => this.#showParameters());
    this.incomplete.addEventListener("change", () => this.#enable());
    const boxes = series.elements.map((name, i) => make("label", { class: "check" }, this.elements[i], name));
    this.element = make("form", { onsubmit: (event) => this.#submit(event, series, ask) },
      make("details", {}, make("summary", {}, "Options"),
        make("div", { class: "options" },
          make("fieldset", {}, make("legend", {}, "Elements"), ...boxes),
          field("Maps", this.source), field("Algorithm", this.algorithm), field("Axis: auto, refine, px", this.centre),
          field("Alignment", this.align), field("Re-project to angles", this.angles),
          make("label", { class: "check" }, this.fsc, "Resolution from halves (as long again)"),
          this.parameters)),
      make("div", { class: "row" }, this.button, this.incompleteField));
    this.#showParameters();
  }

  show(series) {
    this.series = series;
    this.incompleteField.hidden = series.is_complete;
    this.#enable();
  }

  #enable() {
    const possible = this.series.is_complete || (this.incomplete.checked && this.series.n_done > 0);
    this.button.disabled = !possible;
    this.button.title = possible ? "" : `${this.series.n_angles - this.series.n_done} angles are missing`;
  }

  #schemas() {
    return Object.entries(this.algorithms.find((algorithm) => algorithm.name === this.algorithm.value).parameters.properties ?? {});
  }

  #showParameters() {
    this.inputs = this.#schemas().map(([name, schema]) => [name, schema, parameterInput(schema)]);
    this.parameters.replaceChildren(...this.inputs.map(([name, , input]) => field(labelOf(name), input)));
  }

  #submit(event, series, ask) {
    event.preventDefault();
    const parameters = this.inputs.map(([name, schema, input]) => [name, parameterValue(schema, input.value)]);
    ask({
      series: series.key,
      elements: this.elements.filter((box) => box.checked).map((box) => box.value),
      source: this.source.value,
      algorithm: this.algorithm.value,
      parameters: Object.fromEntries(parameters.filter(([, value]) => value !== undefined)),
      centre: centreOf(this.centre.value.trim()),
      align: this.align.value === "none" ? "none" : "jitter",
      align_on: this.align.value === "none" ? "sum" : this.align.value,
      angles: this.angles.value === "" ? null : { reproject_to: Number(this.angles.value) },
      fsc: this.fsc.checked,
      allow_incomplete: this.incomplete.checked,
    });
  }
}
