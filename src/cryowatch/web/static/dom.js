// Making elements. Text from data goes in as text, never as HTML.

export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== "list" && key !== "form") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// A name of which the end is seen too where there is not room for all of it: it is the end that tells it from others.
export function named(tag, name) {
  const letters = [...name];
  const end = Math.max(0, letters.length - 7);
  return el(tag, { class: "named", title: name }, el("span", { text: letters.slice(0, end).join("") }), el("span", { text: letters.slice(end).join("") }));
}

export const byId = (id) => document.getElementById(id);
