// Composes the WGSL modules: what all of them share, and one description of each module's bindings
// from which both the shader's declarations and the host's bind group layouts are made.
//
// Every module has one entry point, main, and one bind group:
//   binding 0   Batch, the numbers of this evaluation (written once before each submit)
//   binding 1   Op, the constants of this dispatch (written once, when the model is planned)
//   binding 2.. storage buffers, in the order of `storage`
// `op` lists the members of Op, `u32` or `f32`; packOp() lays them out as the shader reads them.

// Stands for "there is none" where an Op member is the place of a vector.
export const NONE = 0xffffffff;

export const BATCH_FIELDS = [["n_token", "u32"], ["first_pos", "u32"], ["n_chunk", "u32"], ["chunk", "u32"]];

const struct = (name, fields) => `struct ${name} {\n${fields.map(([f, type]) => `  ${f}: ${type},\n`).join("")}}\n`;

// `storage`: [name, WGSL type, writable?]. Returns what plan.mjs makes a pipeline of.
export function composeShader({ label, enables = [], op, storage, code }) {
  const bindings = storage.map(([name, type, writable], i) =>
    `@group(0) @binding(${i + 2}) var<storage, ${writable ? "read_write" : "read"}> ${name}: ${type};\n`);
  const text = [
    ...enables.map((name) => `enable ${name};\n`),
    struct("Batch", BATCH_FIELDS),
    struct("Op", op),
    "@group(0) @binding(0) var<uniform> batch: Batch;\n@group(0) @binding(1) var<uniform> op: Op;\n",
    ...bindings,
    code,
  ].join("");
  return { label, op, storage, text };
}

// The bytes of one Op. Every member must be given.
export function packOp(fields, values) {
  const view = new DataView(new ArrayBuffer(Math.max(16, Math.ceil(fields.length / 4) * 16)));
  fields.forEach(([name, type], i) => {
    const value = values[name];
    if (typeof value !== "number") throw new Error(`Op member ${name} is ${value}`);
    if (type === "f32") view.setFloat32(4 * i, value, true);
    else view.setUint32(4 * i, value, true);
  });
  return new Uint8Array(view.buffer);
}

// ---- pieces that several shaders use -----------------------------------------------------------

// The vectors of a model (norms, biases) stand in one buffer; places are in vec4, each padded.
export const VECTORS = ["vectors", "array<vec4<f32>>", false];
export const VECTOR_AT = /* wgsl */ `
fn vector_at(place: u32, i: u32) -> f32 { return vectors[place + i / 4u][i % 4u]; }
`;

// The functions that infinities would spoil: an implementation of WGSL may not have them.
export const ACTIVATIONS = {
  silu: /* wgsl */ `
fn activation(x: f32) -> f32 { return x / (1.0 + exp(min(-x, 80.0))); }
`,
  gelu: /* wgsl */ `
fn activation(x: f32) -> f32 {
  let inner = 0.7978845608028654 * x * (1.0 + 0.044715 * x * x);
  return 0.5 * x * (1.0 + tanh(clamp(inner, -15.0, 15.0)));
}
`,
};
export const SOFT_CAP = /* wgsl */ `
fn soft_cap(x: f32, cap: f32) -> f32 {
  if (cap == 0.0) { return x; }
  return cap * tanh(clamp(x / cap, -15.0, 15.0));
}
`;
