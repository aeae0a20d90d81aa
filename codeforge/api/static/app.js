// The operators' page: what the API says, refreshed every two seconds. All text goes in by textContent.

const byId = (id) => document.getElementById(id);
const EXAMPLES = {
  scrape: { urls: ["https://example.org/"] },
  analysis: { question: "What does the page say?", urls: ["https://example.org/"], search: "none" },
  debate: { question: "Tabs or spaces?", positions: ["tabs", "spaces"], rounds: 1 },
  coding: { prompt: "Write a function that adds two numbers.", language: "python" },
};
const PERIOD_MS = 2000;
let shown = null;

class Problem extends Error {}

async function call(path, options = {}) {
  const key = sessionStorage.getItem("key");
  const headers = { ...(options.headers ?? {}), ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const answer = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(10000) });
  const body = await answer.json();
  if (answer.status === 401) byId("key-label").hidden = false;
  if (!answer.ok) throw new Problem(body.detail ?? answer.statusText);
  return body;
}

function row(cells, state) {
  const line = document.createElement("tr");
  for (const cell of cells) {
    const field = document.createElement("td");
    if (cell instanceof Node) field.append(cell);
    else field.textContent = cell;
    if (typeof cell === "number") field.className = "number";
    if (cell === state) field.className = state;
    line.append(field);
  }
  return line;
}

function opener(id) {
  const button = document.createElement("button");
  button.className = "link";
  button.textContent = id;
  button.addEventListener("click", () => { shown = id; byId("acted").textContent = ""; refresh(); });
  return button;
}

async function showQueues() {
  const { items } = await call("/queues");
  byId("queues").replaceChildren(...items.map((q) => row(
    [q.type, q.queued, held(q), q.running, q.delayed, q.dead, q.workers, q.slots, `${q.oldest_queued_s.toFixed(1)} s`])));
}

const held = (q) => q.held_by_tenant ? `${q.held} (${q.held_by_tenant} by their tenant's)` : q.held;

async function showTasks() {
  const { items } = await call("/tasks?limit=25");
  byId("tasks").replaceChildren(...items.map((t) => row([
    new Date(t.created_at).toLocaleTimeString(), t.type, t.state, t.attempts,
    t.progress ? `${t.progress.done}/${t.progress.total} ${t.progress.note}` : "",
    t.usage.usd.toFixed(4), t.stored ? "yes" : "", opener(t.id)], t.state)));
}

async function showTask() {
  byId("task").hidden = shown === null;
  if (shown === null) return;
  const text = JSON.stringify(await call(`/tasks/${shown}`), null, 2);
  if (byId("detail").textContent !== text) byId("detail").textContent = text;
}

async function refresh() {
  try {
    await Promise.all([showQueues(), showTasks(), showTask()]);
    byId("status").textContent = "connected";
  } catch (error) {
    byId("status").textContent = error.message;
  }
}

async function act(method, path) {
  try {
    byId("acted").textContent = (await call(path, { method })).state;
  } catch (error) {
    byId("acted").textContent = error.message;
  }
  refresh();
}

byId("type").append(...Object.keys(EXAMPLES).map((name) => new Option(name, name)));
const example = () => { byId("input").value = JSON.stringify(EXAMPLES[byId("type").value], null, 2); };
byId("type").addEventListener("change", example);
example();

byId("submit").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const body = JSON.stringify({ type: byId("type").value, input: JSON.parse(byId("input").value) });
    const task = await call("/tasks", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    byId("submitted").textContent = `accepted: ${task.id}`;
    shown = task.id;
  } catch (error) {
    byId("submitted").textContent = error.message;
  }
  refresh();
});

byId("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { items } = await call(`/search?q=${encodeURIComponent(byId("query").value)}`);
    byId("hits").replaceChildren(...items.map((hit) => {
      const item = document.createElement("li");
      item.append(`${hit.kind}${hit.url ? ` ${hit.url}` : ""}: ${hit.text.slice(0, 200)} `, opener(hit.task_id));
      return item;
    }));
    if (!items.length) byId("hits").textContent = "nothing found";
  } catch (error) {
    byId("hits").textContent = error.message;
  }
});

byId("cancel").addEventListener("click", () => act("DELETE", `/tasks/${shown}`));
byId("replay").addEventListener("click", () => act("POST", `/tasks/${shown}/replay`));
byId("close").addEventListener("click", () => { shown = null; refresh(); });
byId("key").addEventListener("change", () => { sessionStorage.setItem("key", byId("key").value); refresh(); });

const loop = async () => { await refresh(); setTimeout(loop, PERIOD_MS); };
loop();
