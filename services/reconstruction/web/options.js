// What may be chosen for a reconstruction; the form of each engine comes from the JSON schema that the service tells.

import { make } from "./dom.js";

let serial = 0;

function field(label, input) {
  input.id = `field-${(serial += 1)}`;
  return make("div", {}, make("label", { for: input.id }, label), input);
}

const select = (values, chosen) => make("select", {}, ...values.map((value) => make("option", { value, selected: value === chosen }, value)));

function parameterInput(schema) {
  const choices = schema.enum ?? (schema.const === undefined ? null : [schema.const]);
  if (choices) return select(choices, schema.default);
  if (schema.type === "boolean") return select(["true", "false"], String(schema.default));
  const isNumber = schema.type === "number" || schema.type === "integer";
  return make("input", { type: isNumber ? "number" : "text", step: schema.type === "integer" ? "1" : "any", value: schema.default ?? "" });
}

function parameterValue(schema, text) {
  if (text === "") return undefined;
  if (schema.type === "boolean") return text === "true";
  return schema.type === "number" || schema.type === "integer" ? Number(text) : text;
}

export class Options {
  constructor(series, engines, ask) {
    this.engines = engines;
    this.elements = series.elements.map((name) => make("input", { type: "checkbox", value: name, checked: true }));
    this.source = select(["enhanced", "fitted"], "enhanced");
    this.engine = select(engines.map((engine) => engine.name), engines[0].name);
    this.centre = make("input", { type: "number", step: "any", min: "0", placeholder: "found from the data" });
    this.incomplete = make("input", { type: "checkbox" });
    this.incompleteField = make("label", { class: "check" }, this.incomplete, "although angles are missing");
    this.parameters = make("div", { class: "parameters" });
    this.button = make("button", { class: "primary" }, "Reconstruct");
    this.engine.addEventListener("change", () => this.#showParameters());
    this.incomplete.addEventListener("change", () => this.#enable());
    const boxes = series.elements.map((name, i) => make("label", { class: "check" }, this.elements[i], name));
    this.element = make("form", { onsubmit: (event) => this.#submit(event, series, ask) },
      make("details", {}, make("summary", {}, "Options"),
        make("div", { class: "options" },
          make("fieldset", {}, make("legend", {}, "Elements"), ...boxes),
          field("Maps", this.source), field("Engine", this.engine), field("Rotation axis (px from the left)", this.centre),
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
    return Object.entries(this.engines.find((engine) => engine.name === this.engine.value).parameters.properties ?? {});
  }

  #showParameters() {
    this.inputs = this.#schemas().map(([name, schema]) => [name, schema, parameterInput(schema)]);
    this.parameters.replaceChildren(...this.inputs.map(([name, , input]) => field(name.replaceAll("_", " "), input)));
  }

  #submit(event, series, ask) {
    event.preventDefault();
    const parameters = this.inputs.map(([name, schema, input]) => [name, parameterValue(schema, input.value)]);
    ask({
      series: series.key,
      elements: this.elements.filter((box) => box.checked).map((box) => box.value),
      source: this.source.value,
      engine: this.engine.value,
      parameters: Object.fromEntries(parameters.filter(([, value]) => value !== undefined)),
      centre: this.centre.value === "" ? "auto" : Number(this.centre.value),
      allow_incomplete: this.incomplete.checked,
    });
  }
}
