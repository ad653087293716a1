// Elements from values. Text is always text: nothing that comes from the service is ever parsed as HTML.

export const find = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A picture from an object URL, which is let go once it is drawn. */
export const image = (source, description) => make("img", { class: "picture", src: source, alt: description, title: description,
  onload: () => URL.revokeObjectURL(source) });

/** A button that rests while what it does is under way; what the service refuses is told. */
export function action(label, doing, tell) {
  const button = make("button", { class: "quiet", type: "button", onclick: async () => {
    button.disabled = true;
    tell("");
    try {
      await doing();
    } catch (error) {
      tell(error.message);
    } finally {
      button.disabled = false;
    }
  } }, label);
  return button;
}

export function bar(fraction, label) {
  const fill = make("span");
  fill.style.width = `${Math.round(100 * fraction)}%`;
  return make("div", { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100",
    "aria-valuenow": String(Math.round(100 * fraction)) }, fill);
}

export function setBar(element, fraction) {
  element.firstChild.style.width = `${Math.round(100 * fraction)}%`;
  element.setAttribute("aria-valuenow", String(Math.round(100 * fraction)));
}
