// The value of the form field: which file the form is about to submit.

/**
 * @typedef {object} StoredFile
 * @property {string} key
 * @property {string} name
 * @property {string} [url]
 * @property {number} [width] pixels
 * @property {number} [height] pixels
 */

/**
 * @param {string | null} json
 * @returns {StoredFile | null}
 */
export function parseStoredFile(json) {
  if (!json) return null;
  try {
    const value = JSON.parse(json);
    if (typeof value?.key !== "string" || !value.key) return null;
    return { ...value, name: value.name || value.key.split("/").pop() };
  } catch {
    return null;
  }
}

/**
 * Whether the file is an upload that no record owns yet.
 * @param {StoredFile} file
 * @param {string | null} prefix of the storage's temporary keys, `null` where the page does not say
 */
export function isTemporary(file, prefix) {
  return prefix !== null && file.key.startsWith(prefix);
}
