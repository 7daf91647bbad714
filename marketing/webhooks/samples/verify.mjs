import { createHmac, timingSafeEqual } from "node:crypto";

// `secret` begins with whsec_. `body` is a Buffer with exactly what arrived:
// in Express use express.raw({ type: "*/*" }), not express.json().
export function verify(secret, headers, body) {
  const timestamp = Number(headers["webhook-timestamp"]);
  if (!(Math.abs(Date.now() / 1000 - timestamp) <= 300)) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key)
    .update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`)
    .update(body)
    .digest();
  // Several, separated by spaces, while a secret is being changed.
  return headers["webhook-signature"].split(" ").some((each) => {
    const given = Buffer.from(each.replace(/^v1,/, ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}
