// Cookies that another tab may have changed since this page came.

const COOKIES_OF_PAGE = readCookies();

function readCookies() {
  return new Map(
    document.cookie.split("; ").map((pair) => {
      const end = pair.indexOf("=");
      return [pair.slice(0, end), pair.slice(end + 1)];
    }),
  );
}

/**
 * The value of a cookie that is not what it was when the page came.
 * @param {string | null} name
 * @returns {string | null} `null` where it is as it was, or is not there
 */
export function changedCookie(name) {
  if (!name) return null;
  const value = readCookies().get(name) ?? null;
  return value === COOKIES_OF_PAGE.get(name) ? null : value;
}
