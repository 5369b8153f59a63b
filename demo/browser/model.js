// Graphs that ONNX Runtime Web computes, by the names of their tensors. Knows no page and no file.

const KINDS = { float32: Float32Array, bool: Uint8Array, int64: BigInt64Array };

/** The graphs of a manifest, opened. */
export class Model {
  /**
   * ort: the module of onnxruntime-web; manifest: export.json or pointing.json; fetched: (file) -> its bytes; precision: "float32" or "int8";
   * provider: "wasm", or "webgpu" where `ort` has it.
   */
  static async open(ort, manifest, fetched, precision, provider = "wasm") {
    const model = new Model();
    Object.assign(model, { ort, manifest, sessions: {} });
    for (const [name, { files }] of Object.entries(manifest.graphs)) {
      model.sessions[name] = await ort.InferenceSession.create(await fetched(files[precision].file), { executionProviders: [provider] });
    }
    return model;
  }

  /** The outputs of a graph by name; it takes those of the known tensors that are its inputs. */
  async run(name, known) {
    const inputs = this.manifest.graphs[name].inputs.map((spec) => [spec.name, known[spec.name]]);
    return this.sessions[name].run(Object.fromEntries(inputs));
  }

  async close() {
    for (const session of Object.values(this.sessions)) await session.release();
  }

  tensor(kind, values, shape) {
    return new this.ort.Tensor(kind, values, shape);
  }

  /** A state in which nothing is remembered: zeros, every slot active. */
  blank(sizes) {
    return Object.fromEntries(
      this.manifest.state.map(({ name, dtype, shape }) => {
        const dims = shape.map((size) => sizeOf(size, sizes));
        const values = new KINDS[dtype](dims.reduce((a, b) => a * b, 1));
        return [name, this.tensor(dtype, name === "state_active" ? values.fill(1) : values, dims)];
      }),
    );
  }
}

/** "H/16*W/16" in numbers; a division is rounded up. */
export function sizeOf(words, sizes) {
  if (typeof words === "number") return words;
  if (words === "1+K") return 1 + sizes.K;
  return words.split("*").reduce((product, factor) => {
    const [letter, by] = factor.split("/");
    return product * Math.ceil(sizes[letter] / Number(by ?? 1));
  }, 1);
}
