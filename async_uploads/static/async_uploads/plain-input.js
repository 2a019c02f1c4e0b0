// What a form has for people without this script, taken over by it.

/**
 * Takes away what only a page without the script needs, so that the form submits nothing twice. A file that is picked
 * already stays in the input.
 * @param {HTMLElement} host
 * @param {HTMLInputElement} fileInput
 * @returns {boolean} whether the file was to be cleared
 */
export function takeOver(host, fileInput) {
  const plain = host.querySelector(":scope > .async-upload-plain");
  const checkbox = plain?.querySelector("input[type=checkbox]");
  plain?.remove();
  fileInput.removeAttribute("name");
  return checkbox instanceof HTMLInputElement && checkbox.checked;
}
