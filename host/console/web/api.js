// SPDX-License-Identifier: Apache-2.0
// Requests to the broker that serves this page.

export class Failure extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

export async function ask(path, query = {}, signal) {
  const words = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== undefined && v !== ""));
  return answerOf(() => fetch(`api/${path}${words.size ? `?${words}` : ""}`, { signal, headers: { Accept: "application/json" } }));
}

export async function change(path, body) {
  return answerOf(() => fetch(`api/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

async function answerOf(send) {
  let response;
  try {
    response = await send();
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Failure("The broker that serves this page doesn't answer. The consoles of the other brokers show the cluster, too.", 0);
  }
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Failure(text.trim() || `status ${response.status}`, response.status);
  }
  if (!response.ok) throw new Failure(answer.error || `status ${response.status}`, response.status);
  return answer;
}
