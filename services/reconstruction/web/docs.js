// The API explained from its own OpenAPI document, without anything fetched from elsewhere.

import { find, make } from "./dom.js";

const api = await (await fetch("api/v1/openapi.json")).json();
const resolve = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema);

/** Paragraphs, fenced code and `code` of a Markdown text; nothing more is used in our descriptions. */
const prose = (text = "") => text.split("```").flatMap((part, i) => (i % 2
  ? [make("pre", {}, part.trim())]
  : part.trim().split(/\n\n+/).filter(Boolean).map((paragraph) => make("p", {}, ...inline(paragraph)))));

const inline = (text) => text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") return `[${typeOf(schema.items ?? {})}]`;
  return schema.type ?? "any";
}

function table(rows) {
  if (!rows.length) return null;
  return make("table", {}, ...rows.map(([name, schema, description, required]) => make("tr", {},
    make("th", { scope: "row" }, make("code", {}, name)), make("td", {}, typeOf(schema), required ? ", needed" : ""),
    make("td", {}, ...inline(description ?? "")))));
}

const schemaTable = (schema) => table(Object.entries(schema?.properties ?? {})
  .map(([name, property]) => [name, property, property.description, schema.required?.includes(name)]));

function operation(path, method, described) {
  const body = resolve(described.requestBody?.content["application/json"]?.schema);
  const parameters = (described.parameters ?? []).map((p) => [p.name, p.schema, p.description, p.required]);
  const answers = Object.entries(described.responses).map(([status, answer]) => `${status} ${answer.description}`);
  const examples = (body?.examples ?? []).map((example) => make("pre", {}, JSON.stringify(example, null, 2)));
  return make("div", { class: "operation" },
    make("code", { class: "method" }, method.toUpperCase()), " ", make("code", {}, path),
    ...prose(described.description ?? described.summary), table(parameters), schemaTable(body), ...examples,
    make("p", { class: "hint" }, `Answers: ${answers.join(" · ")}`));
}

const groups = Map.groupBy(Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, described]) => ({ path, method, described }))), ({ described }) => described.tags[0]);

find("content").append(
  make("section", { class: "card" }, make("h1", {}, api.info.title), ...prose(api.info.description)),
  ...[...groups].map(([tag, operations]) => make("section", { class: "card" }, make("h2", {}, tag),
    ...operations.map(({ path, method, described }) => operation(path, method, described)))),
  make("section", { class: "card" }, make("h2", {}, "documents"), ...["Reconstruction", "ReconstructionResult", "Series", "ProblemDocument"]
    .map((name) => make("div", { class: "operation" }, make("h3", {}, name), schemaTable(api.components.schemas[name])))),
);
