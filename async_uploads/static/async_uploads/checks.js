// What a browser can tell about a file before a byte of it is sent. The server measures again.

/**
 * @typedef {object} Limits
 * @property {string} accept as in `<input accept>`: `image/*, application/pdf, .docx`
 * @property {number | null} maxSize bytes
 * @property {boolean} allowEmpty
 */

/** @typedef {"tooLarge" | "empty" | "wrongType"} Problem */

/** @type {Record<string, string>} */
const WELL_KNOWN = {
  "image/*": "JPG, PNG, GIF, WebP…",
  "video/*": "MP4, WebM, MOV…",
  "audio/*": "MP3, WAV, OGG…",
  "text/*": "TXT, CSV…",
  "image/jpeg": "JPG",
  "image/svg+xml": "SVG",
  "text/plain": "TXT",
  "application/msword": "DOC",
  "application/vnd.ms-excel": "XLS",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "DOCX",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "XLSX",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PPTX",
};

/** @param {string} accept */
function patternsOf(accept) {
  return accept
    .toLowerCase()
    .split(",")
    .map((pattern) => pattern.trim())
    .filter(Boolean);
}

/**
 * @param {File} file
 * @param {string} pattern
 */
function matches(file, pattern) {
  if (pattern.startsWith(".")) return file.name.toLowerCase().endsWith(pattern);
  // A browser that knows no type for this extension says nothing: then only the server can tell.
  if (!file.type) return true;
  if (pattern.endsWith("/*")) return file.type.startsWith(pattern.slice(0, -1));
  return file.type === pattern;
}

/**
 * @param {File} file
 * @param {string} accept
 */
export function isAccepted(file, accept) {
  const patterns = patternsOf(accept);
  return patterns.length === 0 || patterns.includes("*/*") || patterns.some((pattern) => matches(file, pattern));
}

/**
 * @param {File} file
 * @param {Limits} limits
 * @returns {Problem | null}
 */
export function findProblem(file, { accept, maxSize, allowEmpty }) {
  if (!isAccepted(file, accept)) return "wrongType";
  if (file.size === 0 && !allowEmpty) return "empty";
  if (maxSize !== null && file.size > maxSize) return "tooLarge";
  return null;
}

/**
 * The accepted types as people know them: `PDF, DOCX, JPG`.
 * @param {string} accept
 */
export function describeTypes(accept) {
  const names = patternsOf(accept).map(
    (pattern) => WELL_KNOWN[pattern] ?? pattern.replace(/^(\.|[^/]+\/(x-)?)/, "").toUpperCase(),
  );
  return [...new Set(names)].join(", ");
}
