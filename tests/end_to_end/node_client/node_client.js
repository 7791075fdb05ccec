// Walk one manifest from nothing to REGISTERED over a plain REQ socket, and check every reply.
//
//   node node_client.js ENDPOINT
//
// Written against the documented member names alone. It prints the last reply and ends with 0, or
// says what was not as documented and ends with 1.
"use strict";

const assert = require("node:assert/strict");
const zeromq = require("zeromq");
const { decode, encode } = require("@msgpack/msgpack");

const ID = "io.github.acme/echo@1.0.0";
const DOCUMENT = {
  name: "io.github.acme/echo",
  description: "Repeats what it hears: καλημέρα, 你好, 👋.",
  version: "1.0.0",
};

async function ask(socket, request) {
  await socket.send(JSON.stringify(request));
  const frames = await socket.receive();
  assert.equal(frames.length, 1);
  return JSON.parse(frames[0].toString("utf8"));
}

async function accepted(socket, request) {
  const reply = await ask(socket, request);
  assert.equal(reply.ok, true, JSON.stringify(reply));
  return reply.result;
}

async function walk(socket) {
  const created = await accepted(socket, {
    op: "create", manifest_id: ID, kind: "mcp-server", manifest: DOCUMENT, command_id: "node-1",
  });
  assert.equal(created.state, "DRAFT");
  assert.equal(created.version, 1);
  assert.match(created.digest, /^sha256:[0-9a-f]{64}$/);

  const submit = {
    op: "transition", manifest_id: ID, event: "submit_for_review", expected_version: 1, command_id: "node-2",
  };
  const submitted = await accepted(socket, submit);
  assert.equal(submitted.state, "REVIEWED");
  assert.deepEqual([...submitted.allowed_events].sort(), ["approve", "reject"]);

  const again = await accepted(socket, submit);
  assert.deepEqual(again, { ...submitted, replayed: true });

  const approve = { op: "transition", manifest_id: ID, event: "approve" };
  const refused = await ask(socket, approve);
  assert.equal(refused.ok, false);
  assert.equal(refused.error.code, "GUARD_REJECTED");
  assert.equal(refused.error.details.guard, "four_eyes");

  const late = await ask(socket, { ...approve, principal: "approver-1", expected_version: 1 });
  assert.equal(late.error.code, "VERSION_CONFLICT");
  assert.deepEqual(late.error.details, { expected: 1, actual: 2 });

  const approved = await accepted(socket, { ...approve, principal: "approver-1", digest: created.digest });
  assert.equal(approved.state, "APPROVED");

  const registered = await accepted(socket, { op: "transition", manifest_id: ID, target: "REGISTERED" });
  assert.equal(registered.urn, "urn:proto:mcp-server:io.github.acme/echo@1.0.0");
  return registered;
}

async function readBack(socket, registered) {
  const got = await accepted(socket, { op: "get", manifest_id: ID });
  assert.deepEqual(got.manifest, DOCUMENT);
  assert.equal(got.version, 4);

  await socket.send(encode({ op: "lookup", urn: registered.urn }));
  const [body] = await socket.receive();
  const found = decode(body);
  assert.equal(found.ok, true, JSON.stringify(found));
  assert.deepEqual(found.result.manifest, DOCUMENT);
  assert.equal(found.result.digest, registered.digest);
}

async function misspelt(socket) {
  const reply = await ask(socket, { op: "get", manifest_idd: ID });
  assert.equal(reply.error.code, "BAD_REQUEST");
  assert.match(reply.error.message, /manifest_id/);
}

async function main() {
  const socket = new zeromq.Request({ linger: 0, receiveTimeout: 20_000, sendTimeout: 20_000 });
  socket.connect(process.argv[2]);
  const registered = await walk(socket);
  await readBack(socket, registered);
  await misspelt(socket);
  socket.close();
  console.log(JSON.stringify(registered));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
