// How the parts of the widgets are made.

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name the last part of its class
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function create(tag, name, ...children) {
  const element = document.createElement(tag);
  element.className = `async-upload-${name}`;
  element.append(...children);
  return element;
}
