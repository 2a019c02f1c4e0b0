// The HTTP side of an upload: tickets, bytes, and what to make of the answers.

/** @typedef {"pending" | "uploading" | "uploaded" | "promoting" | "promoted" | "failed" | "cancelled" | "expired"} UploadState */

/**
 * @typedef {object} UploadStatus
 * @property {"status"} type
 * @property {string} key
 * @property {UploadState} state
 * @property {number} received bytes
 * @property {number | null} total bytes
 * @property {string} name
 * @property {string | null} url
 * @property {{code: string, message: string} | null} error
 * @property {number} seq grows with each event of a key
 * @property {string} at ISO 8601
 */

/**
 * @typedef {object} UploadUrl
 * @property {string} url
 * @property {string} method `PUT` sends the raw bytes, `POST` a multipart form
 * @property {Record<string, string>} fields
 * @property {Record<string, string>} headers
 * @property {string} provider
 * @property {string} [fileFieldName]
 */

/**
 * @typedef {object} Ticket
 * @property {string} key
 * @property {UploadUrl} uploadUrl
 * @property {string} completeUrl
 * @property {string} statusUrl
 * @property {string} cancelUrl
 * @property {string} expiresAt
 */

/** @typedef {Record<string, string>} CsrfHeaders */

/** An upload that did not work out. Its message comes from the server and is empty where that said nothing. */
export class UploadError extends Error {
  /**
   * @param {string} code as the server's, or `network`, `failed`, `tooLarge`, `tooLargeForServer`, `loggedOut`
   * @param {string} [message]
   */
  constructor(code, message = "") {
    super(message);
    this.name = "UploadError";
    this.code = code;
  }

  /** The same file would be refused again, whoever is logged in by then. */
  get isFinal() {
    return ["file_too_large", "tooLarge", "tooLargeForServer", "type_not_allowed", "invalid"].includes(this.code);
  }

  /** Nobody has said no: the same question may be answered next time. */
  get isPassing() {
    return ["network", "failed", "storage_unavailable"].includes(this.code);
  }

  /** The server's views have not been asked, so that what has arrived is still good. */
  get isUndecided() {
    return this.isPassing || this.code === "loggedOut";
  }

  /** The server has settled it, and waits for this upload no longer. */
  get isSettled() {
    return !this.isUndecided && !["incomplete", "tooLarge", "tooLargeForServer"].includes(this.code);
  }
}

/**
 * What is not in our words comes from what stands before our views: the CSRF check, a login page, a proxy.
 * @param {{status: number, redirected: boolean}} answer
 * @param {any} body
 */
function errorFrom({ status, redirected }, body) {
  if (typeof body?.code === "string") return new UploadError(body.code, body.detail);
  if (redirected || status === 401 || status === 403) return new UploadError("loggedOut");
  if (status === 413) return new UploadError("tooLargeForServer");
  if (status === 400 && body && typeof body === "object") {
    return new UploadError("invalid", Object.values(body).flat().join(" "));
  }
  return new UploadError("failed");
}

/**
 * A cloud storage says in XML what it refused (S3: "Error responses", Azure Blob Storage: "Status and error codes").
 * Its words are for developers, so that only what a person can act upon is told apart.
 * @param {number} httpStatus
 * @param {Document | null} xml
 */
function errorOfStorage(httpStatus, xml) {
  const code = xml?.querySelector("Error > Code")?.textContent ?? "";
  if (httpStatus === 413 || code === "EntityTooLarge") return new UploadError("tooLarge");
  return new UploadError(httpStatus >= 500 ? "storage_unavailable" : "failed");
}

/** @param {string} text */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 * @throws {UploadError}
 */
async function requestJson(url, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new UploadError("network");
  }
  const body = parseJson(await response.text().catch(() => ""));
  if (!response.ok || (body === null && response.status !== 204)) throw errorFrom(response, body);
  return body;
}

/**
 * @param {string} url
 * @param {object} body
 * @param {RequestInit & {headers: CsrfHeaders}} options
 */
function postJson(url, body, options) {
  const headers = { "Content-Type": "application/json", ...options.headers };
  return requestJson(url, { ...options, method: "POST", body: JSON.stringify(body), headers });
}

/** @type {Promise<unknown>} */
let lastTicket = Promise.resolve();

/**
 * Asks for tickets one after the other: a visitor without a session would otherwise get one session per request.
 * @param {string} url
 * @param {{fieldId: string, filename: string, instanceId: string | null, contentType: string, size: number}} upload
 * @param {CsrfHeaders} headers
 * @param {AbortSignal} signal
 * @returns {Promise<Ticket>}
 */
export function requestTicket(url, upload, headers, signal) {
  const ticket = lastTicket.then(() => {
    signal.throwIfAborted();
    return postJson(url, upload, { headers, signal });
  });
  lastTicket = ticket.catch(() => {});
  return ticket;
}

/**
 * @param {Ticket} ticket
 * @param {CsrfHeaders} headers
 * @param {AbortSignal} signal
 * @returns {Promise<UploadStatus>}
 */
export function completeUpload(ticket, headers, signal) {
  return postJson(ticket.completeUrl, { key: ticket.key }, { headers, signal });
}

/**
 * Tells the server that nobody wants this upload any more. Not waited for: what it misses, the sweep finds.
 * @param {string} cancelUrl
 * @param {string} key
 * @param {CsrfHeaders} headers
 */
export function cancelUpload(cancelUrl, key, headers) {
  postJson(cancelUrl, { key }, { headers, keepalive: true }).catch(() => {});
}

/**
 * @param {string} statusUrl
 * @param {string} key
 * @returns {Promise<UploadStatus>}
 */
export function fetchStatus(statusUrl, key) {
  const url = new URL(statusUrl, location.href);
  url.searchParams.set("key", key);
  return requestJson(url.href);
}

/**
 * Whether the bytes go straight to a cloud storage, so that the server has to be told of them.
 * @param {UploadUrl} uploadUrl
 */
export function bypassesServer({ provider }) {
  return provider !== "filesystem";
}

/**
 * @param {File} file
 * @param {UploadUrl} uploadUrl
 */
function bodyOf(file, { method, fields, fileFieldName }) {
  if (method.toUpperCase() !== "POST") return file;
  const form = new FormData();
  for (const [name, value] of Object.entries(fields ?? {})) form.append(name, value);
  // S3 ignores every field after the file.
  form.append(fileFieldName ?? "file", file, file.name);
  return form;
}

/**
 * @param {XMLHttpRequest} request
 * @param {UploadUrl} uploadUrl
 */
function wasRedirected(request, uploadUrl) {
  return request.responseURL !== new URL(uploadUrl.url, location.href).href.split("#")[0];
}

/**
 * Sends the bytes as the ticket says.
 * @param {File} file
 * @param {UploadUrl} uploadUrl
 * @param {{onProgress: (received: number) => void, onSent: () => void, signal: AbortSignal}} options
 * @returns {Promise<any>} the answer's JSON, or `null` where it had none
 * @throws {UploadError}
 */
export function sendFile(file, uploadUrl, { onProgress, onSent, signal }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    // XMLHttpRequest, because fetch() cannot tell how much of a body was sent.
    const request = new XMLHttpRequest();
    request.open(uploadUrl.method, uploadUrl.url);
    for (const [name, value] of Object.entries(uploadUrl.headers ?? {})) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) =>
      // A multipart body is somewhat longer than its file.
      onProgress(total > 0 ? Math.round(file.size * Math.min(1, loaded / total)) : 0);
    request.upload.onload = onSent;
    request.onerror = () => reject(new UploadError("network"));
    request.onabort = () => reject(signal.reason);
    request.onload = () => {
      const { status } = request;
      const body = parseJson(request.responseText);
      const isOk = status >= 200 && status < 300;
      if (isOk && (body !== null || bypassesServer(uploadUrl))) resolve(body);
      else if (bypassesServer(uploadUrl)) reject(errorOfStorage(status, request.responseXML));
      else reject(errorFrom({ status, redirected: wasRedirected(request, uploadUrl) }, body));
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(bodyOf(file, uploadUrl));
  });
}
