// A picked image, shown before it is uploaded.

const DECODING_LIMIT = 5000; // ms: what takes longer to decode must not hold up the form

/** @typedef {{width: number, height: number}} Dimensions */

/**
 * @typedef {object} ImagePreview
 * @property {string} url
 * @property {Promise<Dimensions | null>} dimensions pixels, `null` if the browser cannot decode the file
 * @property {() => void} close frees the memory
 */

/**
 * @param {File} file
 * @returns {ImagePreview | null} `null` if the file is no image
 */
export function previewImage(file) {
  if (!file.type.startsWith("image/")) return null;
  const url = URL.createObjectURL(file);
  return { url, dimensions: Promise.race([measure(url), giveUp()]), close: () => URL.revokeObjectURL(url) };
}

/** @param {string} url */
async function measure(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null;
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

/** @returns {Promise<null>} */
function giveUp() {
  return new Promise((resolve) => setTimeout(() => resolve(null), DECODING_LIMIT));
}
