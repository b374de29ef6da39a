// A node-opcua client that does one visit and prints one JSON object about it.
//
// Usage: node client.js '{"url":..., "policy":"None"|"Basic256Sha256"|..., "mode":..., "certificate":..., "key":...,
//                         "pki":..., "user":..., "password":..., "node":"ns=2;s=...", "changes":3}'
"use strict";
const {
  AttributeIds, ClientMonitoredItem, ClientSubscription, MessageSecurityMode, OPCUAClient, SecurityPolicy, TimestampsToReturn, UserTokenType,
} = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

async function visit(job) {
  const clientCertificateManager = new OPCUACertificateManager({
    rootFolder: job.pki, automaticallyAcceptUnknownCertificate: true,
  });
  await clientCertificateManager.initialize();
  const client = OPCUAClient.create({
    applicationName: "edgeua interop", applicationUri: job.applicationUri,
    securityPolicy: SecurityPolicy[job.policy], securityMode: MessageSecurityMode[job.mode],
    certificateFile: job.certificate, privateKeyFile: job.key, clientCertificateManager,
    endpointMustExist: false, connectionStrategy: { maxRetry: 1, initialDelay: 100, maxDelay: 200 },
  });
  await client.connect(job.url);
  const found = {};
  try {
    const endpoints = await client.getEndpoints();
    found.endpoints = endpoints.map((e) => ({
      url: e.endpointUrl, policy: e.securityPolicyUri, mode: MessageSecurityMode[e.securityMode],
    }));
    const token = job.user
      ? { type: UserTokenType.UserName, userName: job.user, password: job.password }
      : { type: UserTokenType.Anonymous };
    const session = await client.createSession(token);
    try {
      const value = await session.read({ nodeId: job.node, attributeId: AttributeIds.Value });
      found.read = { value: value.value.value, status: value.statusCode.name };
      found.serverArray = (await session.read({ nodeId: "i=2254", attributeId: AttributeIds.Value })).value.value;
      const objects = await session.browse("ObjectsFolder");
      found.browsed = objects.references.map((r) => r.browseName.name);
      found.nodes = await walk(session, "RootFolder");
      found.changes = await watch(session, job);
    } finally {
      await session.close();
    }
  } finally {
    await client.disconnect();
  }
  return found;
}

// walk counts the nodes that are reached by hierarchical references, as a browsing user would.
async function walk(session, root) {
  const seen = new Set();
  const queue = [root];
  while (queue.length > 0 && seen.size < 5000) {
    const result = await session.browse({
      nodeId: queue.shift(), browseDirection: 0, referenceTypeId: "i=33", includeSubtypes: true, nodeClassMask: 0, resultMask: 63,
    });
    if (!result.statusCode.isGood()) throw new Error(`browse: ${result.statusCode.name}`);
    if (result.continuationPoint) throw new Error("browse: more than fits into one answer");
    for (const reference of result.references) {
      const id = reference.nodeId.toString();
      if (!seen.has(id)) {
        seen.add(id);
        queue.push(reference.nodeId);
      }
    }
  }
  return seen.size;
}

async function watch(session, job) {
  const subscription = ClientSubscription.create(session, {
    requestedPublishingInterval: 100, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10,
    maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 0,
  });
  const item = ClientMonitoredItem.create(
    subscription, { nodeId: job.node, attributeId: AttributeIds.Value },
    { samplingInterval: 100, discardOldest: true, queueSize: 10 }, TimestampsToReturn.Both);
  const changes = [];
  await new Promise((resolve, reject) => {
    item.on("changed", (dv) => {
      changes.push({ value: dv.value.value, status: dv.statusCode.name });
      if (changes.length >= job.changes) resolve();
    });
    item.on("err", (message) => reject(new Error(message)));
    setTimeout(() => reject(new Error(`only ${changes.length} changes`)), 15000).unref();
  });
  await subscription.terminate();
  return changes;
}

visit(JSON.parse(process.argv[2])).then(
  (found) => { process.stdout.write(JSON.stringify(found) + "\n"); process.exit(0); },
  (error) => { process.stderr.write(`${error.stack || error}\n`); process.exit(1); });
