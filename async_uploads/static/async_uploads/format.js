// Sizes, percentages and names as people read them, in the language of the page.

const UNITS = /** @type {const} */ (["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"]);

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} options
 */
function formatNumber(value, options) {
  const language = document.documentElement.lang;
  try {
    return new Intl.NumberFormat(language || undefined, options).format(value);
  } catch {
    // A `lang` that is no language tag is the page's mistake, not a reason to fail.
    return new Intl.NumberFormat(undefined, options).format(value);
  }
}

/**
 * A number of bytes in the largest unit that fits, in steps of 1024 as Django's `filesizeformat` counts.
 * @param {number} bytes
 */
export function formatSize(bytes) {
  let value = bytes;
  let power = 0;
  while (value >= 1023.95 && power < UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  return formatNumber(value, {
    style: "unit",
    unit: UNITS[power],
    unitDisplay: power === 0 ? "long" : "short",
    maximumFractionDigits: power === 0 || value >= 100 ? 0 : 1,
  });
}

/**
 * @param {number} received bytes
 * @param {number} total bytes
 * @returns {number} whole percent, 0 to 100
 */
export function percentOf(received, total) {
  return total > 0 ? Math.min(100, Math.floor((received / total) * 100)) : 100;
}

/** @param {number} percent */
export function formatPercent(percent) {
  return formatNumber(percent, {});
}

/**
 * A long name with its middle left out, so that its beginning and its extension stay readable.
 * @param {string} name
 * @param {number} [limit] characters
 */
export function shortenName(name, limit = 56) {
  const characters = Intl.Segmenter
    ? Array.from(new Intl.Segmenter().segment(name), (part) => part.segment)
    : Array.from(name);
  if (characters.length <= limit) return name;
  const end = Math.floor(limit / 3);
  return `${characters.slice(0, limit - end - 1).join("")}…${characters.slice(-end).join("")}`;
}
