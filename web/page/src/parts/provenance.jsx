// What is known of the loaded model: where it comes from, what its bytes are, and how it runs.

import { formatBytes, formatSeconds } from "../state/progress.mjs";

function signatureText(signature, stored) {
  if (signature) return `by key ${signature.keyId}${signature.comment ? `: ${signature.comment}` : ""}`;
  return stored ? "none: it came without a signed manifest" : "none: it is not from the store";
}

function rows(info) {
  const template = info.hasTemplate
    ? info.templateNote || "the model's own"
    : `none in the file; ChatML is used. ${info.templateNote ?? ""}`;
  return [
    ["Name", info.title ? `${info.title} (${info.name})` : info.name],
    [
      "SHA-256",
      info.sha256 && (
        <code class="hash" data-testid="model-sha256">
          {info.sha256}
        </code>
      ),
    ],
    ["Catalog", info.catalog],
    ["Signature", signatureText(info.signature, info.stored)],
    ["Source", info.origin],
    ["Size", info.bytes && formatBytes(info.bytes)],
    ["Quantization", info.quantization],
    ["Architecture", info.architecture],
    ["Licence", info.licence ?? "not stated; see where the model comes from"],
    ["Chat template", template],
    ["Tokenizer", [info.tokenizer, info.pretokenizer, `${info.nVocab} tokens`].filter(Boolean).join(", ")],
    ["Context", `${info.nCtx} tokens of ${info.nCtxTrain} it was trained for`],
    ["Memory", `${formatBytes(info.weightBytes)} weights, ${formatBytes(info.kvBytes)} context`],
    ["Runs on", `${info.backend}, ${info.kernels}, ${info.threads === 1 ? "1 thread" : `${info.threads} threads`}`],
    ["Notes", info.reasons.length > 0 ? info.reasons.join(" ") : null],
    ["Loaded in", info.loadMs && formatSeconds(info.loadMs / 1000)],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
}

export function Provenance({ info }) {
  if (info === null) return <p class="hint">No model is loaded.</p>;
  return (
    <dl class="facts" data-testid="provenance">
      {rows(info).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
