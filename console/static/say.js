// What a person says of a page goes to this page's own server, which puts it onto the stream.

const ANSWER_MILLIS_MAX = 45_000;

/** Send `said` to `path`; the answer once it is durable on the stream, an Error in words otherwise. */
export async function give(path, said) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(said),
    signal: AbortSignal.timeout(ANSWER_MILLIS_MAX),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}
