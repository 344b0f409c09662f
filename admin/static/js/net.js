// The two ways to the server: REST with CSRF token, and the push socket with a single-use ticket and back-off.
import { decode } from "./protocol.js";

const csrf = document.querySelector('meta[name="csrf"]').content;

/** POST JSON; resolves to the result, rejects with {status, cause, fix, result, field}. A hanging server is a failure too. */
export async function post(path, content = {}, timeoutMs = 8000) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf }, body: JSON.stringify(content),
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch {
    throw { status: 0, cause: "the admin process does not answer", fix: "use the terminal", result: {}, field: "" };
  }
  const answer = await response.json().catch(() => ({ retMsg: `HTTP ${response.status}`, retExtInfo: {}, result: {} }));
  if (!response.ok) throw { status: response.status, cause: answer.retMsg, fix: answer.retExtInfo?.hint ?? "", result: answer.result, field: answer.field ?? "" };
  return answer.result;
}

/** GET JSON; resolves to the result, rejects with {status, cause, fix}. */
export async function get(path) {
  const response = await fetch(path).catch(() => null);
  if (!response) throw { status: 0, cause: "the admin process does not answer", fix: "see whether it runs" };
  const answer = await response.json().catch(() => ({ retMsg: `HTTP ${response.status}` }));
  if (!response.ok) throw { status: response.status, cause: answer.retMsg, fix: answer.retExtInfo?.hint ?? "" };
  return answer.result;
}

export class Push {
  /** handlers: {frame(frame), message(json), up(), down(text)} */
  constructor(handlers) {
    this.handlers = handlers;
    this.socket = null;
    this.delay = 250;
    this.wanted = null; // symbol of the open drawer
    this.rate = null;
    document.addEventListener("visibilitychange", () => this.sendRate());
  }

  async connect() {
    try {
      const { ticket, url } = await post("/api/ws-ticket");
      if (this.url && this.url !== url) location.reload(); // the policy of this page names the old address
      this.url = url;
      const socket = new WebSocket(url);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => socket.send(JSON.stringify({ op: "auth", ticket }));
      socket.onmessage = (event) => this.receive(event.data);
      socket.onclose = (event) => this.lost(event.reason || "push channel closed");
      this.socket = socket;
    } catch (error) {
      if (error.status === 401) {
        this.handlers.down("logged out: open a fresh login link (launch.py status)");
      }
      this.lost(error.cause ?? "push channel not reachable");
    }
  }

  lost(text) {
    this.socket = null;
    this.rate = null;
    this.handlers.down(text);
    setTimeout(() => this.connect(), this.delay * (0.75 + Math.random() / 2));
    this.delay = Math.min(5000, this.delay * 1.7);
  }

  receive(data) {
    if (typeof data !== "string") {
      this.handlers.frame(decode(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.t === "hello") {
      this.delay = 250;
      this.hz = message.hz;
      this.handlers.up();
    }
    this.handlers.message(message);
    if (message.t === "hello") {
      this.sendRate();
      if (this.wanted) this.want(this.wanted);
    }
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Nothing while hidden; half rate on small screens. */
  sendRate() {
    const full = this.hz ?? 4;
    const rate = document.hidden ? 0 : matchMedia("(max-width: 600px)").matches ? full / 2 : full;
    if (rate !== this.rate && this.hz) {
      this.rate = rate;
      this.send({ op: "rate", hz: rate });
    }
  }

  want(symbol) {
    this.wanted = symbol;
    this.send({ op: "detail", symbol });
  }
}
