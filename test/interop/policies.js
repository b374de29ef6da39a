// node-opcua clients, each of which opens a session; one JSON object about each is printed.
//
// Usage: node policies.js JOBS PARALLEL, where JOBS is '[{"url":..., "policy":..., "mode":..., "applicationUri":..., "certificate":...,
//        "key":..., "pki":..., "user":..., "password":..., "userCertificate":..., "userKey":..., "node":...}, ...]'
"use strict";
const fs = require("fs");
const {
  AttributeIds, MessageSecurityMode, OPCUAClient, SecurityPolicy, UserTokenType,
} = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { readCertificate } = require("node-opcua-crypto");
const { ClientSecureChannelLayer } = require("node-opcua-secure-channel");

ClientSecureChannelLayer.defaultTransactionTimeout = 5000;

function token(job) {
  if (job.userCertificate) {
    return {
      type: UserTokenType.Certificate,
      certificateData: readCertificate(job.userCertificate), privateKey: fs.readFileSync(job.userKey, "utf8"),
    };
  }
  if (job.user) return { type: UserTokenType.UserName, userName: job.user, password: job.password };
  return { type: UserTokenType.Anonymous };
}

async function visit(job) {
  const clientCertificateManager = new OPCUACertificateManager({ rootFolder: job.pki, automaticallyAcceptUnknownCertificate: true });
  await clientCertificateManager.initialize();
  const client = OPCUAClient.create({
    applicationName: "edgeua interop", applicationUri: job.applicationUri,
    securityPolicy: SecurityPolicy[job.policy], securityMode: MessageSecurityMode[job.mode],
    certificateFile: job.certificate, privateKeyFile: job.key, clientCertificateManager,
    endpointMustExist: false, connectionStrategy: { maxRetry: 0, initialDelay: 100, maxDelay: 200 },
  });
  try {
    await client.connect(job.url);
    const session = await client.createSession(token(job));
    const value = await session.read({ nodeId: job.node, attributeId: AttributeIds.Value });
    await session.close();
    return { status: value.statusCode.name };
  } finally {
    await client.disconnect();
  }
}

// node-opcua waits for the answer to an OpenSecureChannel that has been refused; the least it can be told is 5 s.
async function work() {
  for (let job = queue.shift(); job; job = queue.shift()) {
    job.result = await visit(job).catch((error) => ({ error: String(error.message || error) }));
  }
}

const jobs = JSON.parse(process.argv[2]);
const queue = [...jobs];
Promise.all(Array.from({ length: Number(process.argv[3]) }, work)).then(() => {
  for (const job of jobs) process.stdout.write(JSON.stringify(job.result) + "\n");
  process.exit(0);
});
