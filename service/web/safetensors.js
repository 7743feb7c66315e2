// The compact form of the service's answers: length of a header, the header, the arrays' bytes.

const KINDS = { F32: Float32Array, U8: Uint8Array };

/** {arrays: name → {shape, data}, facts: the metadata, read as JSON}. */
export function unpack(buffer) {
  const start = 8 + new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
  const { __metadata__: metadata, ...entries } = header;
  const facts = Object.fromEntries(Object.entries(metadata).map(([name, json]) => [name, JSON.parse(json)]));
  const arrays = {};
  for (const [name, { dtype, shape, data_offsets: [first, end] }] of Object.entries(entries)) {
    const Kind = KINDS[dtype];
    arrays[name] = { shape, data: new Kind(buffer, start + first, (end - first) / Kind.BYTES_PER_ELEMENT) };
  }
  return { arrays, facts };
}
