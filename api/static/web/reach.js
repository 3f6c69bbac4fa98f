// How pages reach the server: with the cookie of a sign-in; in somebody's frame with a pass, which the
// page around it hands over and renews.
const RENEW_MS = 15000;
const AGAIN_MS = 3000;

const embedded = "embedded" in document.documentElement.dataset;
let pass = "";
let wanted = null;
let got = () => {};
let askParent = () => {};

// In a frame: `ask` lets the page around it know that a new pass is wanted.
export function startPasses(ask) {
  askParent = ask;
}

export function admit(text) {
  pass = text;
  wanted = null;
  got();
}

function renewed() {
  wanted ??= new Promise((resolve) => {
    got = resolve;
    setTimeout(resolve, RENEW_MS);
    askParent();
  });
  return wanted;
}

// As `fetch`; a pass that is over is renewed, once.
export async function reach(address, options = {}) {
  if (!embedded) return fetch(address, options);
  const answer = await fetch(address, carrying(options));
  if (answer.status !== 401) return answer;
  await renewed();
  return fetch(address, carrying(options));
}

function carrying(options) {
  return { ...options, credentials: "omit", headers: { ...options.headers, Authorization: `Bearer ${pass}` } };
}

// As an EventSource, which can carry no pass.
export function openStream(address) {
  return embedded ? new Stream(address) : new EventSource(address);
}

class Stream extends EventTarget {
  constructor(address) {
    super();
    Object.assign(this, { address, readyState: 0, lastId: "", stop: new AbortController() });
    this.run();
  }

  close() {
    this.readyState = 2;
    this.stop.abort();
  }

  async run() {
    while (this.readyState !== 2) {
      try {
        await this.read();
      } catch {
        // Broken off: told below, and tried again.
      }
      if (this.readyState === 2) return;
      this.readyState = 0;
      this.onerror?.();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  async read() {
    const headers = this.lastId ? { "Last-Event-ID": this.lastId } : {};
    const answer = await reach(this.address, { headers, signal: this.stop.signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    this.readyState = 1;
    this.onopen?.();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      blocks.forEach((block) => this.tell(block));
    }
  }

  tell(block) {
    const lines = block.split("\n").filter((line) => !line.startsWith(":"));
    const fields = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
    if (fields.id) this.lastId = fields.id;
    if (fields.event) this.dispatchEvent(new MessageEvent(fields.event, { data: fields.data, lastEventId: this.lastId }));
  }
}
