// The service as this page uses it. The key travels in a header only, also for pictures and event streams.

const KEY = "subprobe-tiled-key";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** A key handed over as `#key=...` is taken out of the address at once. */
export function takeKeyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    key.set(given);
    history.replaceState(null, "", location.pathname);
  }
}

async function send(path, options = {}) {
  const headers = { "X-Api-Key": key.get() ?? "", ...options.headers };
  let response;
  try {
    response = await fetch(path.replace(/^\//, ""), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The reconstruction service does not answer; trying again.");
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Refused(response.status, problem.detail ?? `The service answered ${response.status}.`);
  }
  return response;
}

export const getJson = async (path) => (await send(path)).json();

export const picture = async (path) => URL.createObjectURL(await (await send(path)).blob());

/** Save what stands at a path under the name that the service gives it; a plain link could not send the key. */
export async function save(path) {
  const response = await send(path);
  const [, name] = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "") ?? [];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name ?? "subprobe.nxs";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be reading it
}

export const post = async (path, body) =>
  (await send(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  })).json();

/** Call `tell` with each document of a server-sent event stream; resolves when the stream ends. */
export async function listen(path, tell) {
  const response = await send(path, { headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (waiting + value).split(/\r?\n\r?\n/);
    waiting = events.pop();
    for (const event of events) {
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) tell(JSON.parse(data));
    }
  }
}
