/* The data of the page: base64 of gzip of JSON. */

async function readData(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const plain = window.DecompressionStream
    ? await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text()
    : new TextDecoder().decode(inflate(bytes.subarray(10)));
  return JSON.parse(plain);
}

/* For browsers without DecompressionStream: RFC 1951, with canonical Huffman codes decoded bit by bit. */
function inflate(bytes) {
  let position = 0;
  let out = new Uint8Array(bytes.length * 8);
  let size = 0;
  const bit = () => (bytes[position >> 3] >> (position++ & 7)) & 1;
  const number = (count) => {
    let value = 0;
    for (let place = 0; place < count; place++) value |= bit() << place;
    return value;
  };
  const room = (count) => {
    if (size + count <= out.length) return;
    const larger = new Uint8Array(Math.max(out.length * 2, size + count));
    larger.set(out);
    out = larger;
  };
  const book = (lengths) => {
    const counts = new Uint16Array(16);
    for (const length of lengths) counts[length]++;
    counts[0] = 0;
    const offsets = new Uint16Array(16);
    for (let length = 1; length < 16; length++) offsets[length] = offsets[length - 1] + counts[length - 1];
    const symbols = new Uint16Array(lengths.length);
    lengths.forEach((length, symbol) => {
      if (length) symbols[offsets[length]++] = symbol;
    });
    return { counts, symbols };
  };
  const symbol = ({ counts, symbols }) => {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length < 16; length++) {
      code |= bit();
      if (code - first < counts[length]) return symbols[index + code - first];
      index += counts[length];
      first = (first + counts[length]) << 1;
      code <<= 1;
    }
    throw new Error("damaged data");
  };
  const extra = (index, group) => (index < group * 2 ? 0 : Math.floor(index / group) - 1);
  const starts = (count, group, first) => {
    const found = [];
    for (let index = 0, start = first; index < count; start += 1 << extra(index, group), index++) found.push(start);
    return found;
  };
  const lengthStarts = [...starts(28, 4, 3), 258];
  const distanceStarts = starts(30, 2, 1);
  const fixed = [
    book([...Array(144).fill(8), ...Array(112).fill(9), ...Array(24).fill(7), ...Array(8).fill(8)]),
    book(Array(30).fill(5)),
  ];
  const own = () => {
    const sizes = [number(5) + 257, number(5) + 1, number(4) + 4];
    const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    const lengths = Array(19).fill(0);
    for (let place = 0; place < sizes[2]; place++) lengths[order[place]] = number(3);
    const codes = book(lengths);
    const found = [];
    while (found.length < sizes[0] + sizes[1]) {
      const code = symbol(codes);
      if (code < 16) found.push(code);
      else if (code === 16) found.push(...Array(number(2) + 3).fill(found[found.length - 1]));
      else found.push(...Array(code === 17 ? number(3) + 3 : number(7) + 11).fill(0));
    }
    return [book(found.slice(0, sizes[0])), book(found.slice(sizes[0]))];
  };
  for (let last = 0; !last; ) {
    last = bit();
    const kind = number(2);
    if (kind === 0) {
      const start = ((position + 7) >> 3) + 4;
      const count = bytes[start - 4] | (bytes[start - 3] << 8);
      room(count);
      out.set(bytes.subarray(start, start + count), size);
      size += count;
      position = (start + count) * 8;
      continue;
    }
    const [literals, distances] = kind === 1 ? fixed : own();
    for (let code = symbol(literals); code !== 256; code = symbol(literals)) {
      if (code < 256) {
        room(1);
        out[size++] = code;
        continue;
      }
      const index = code - 257;
      const count = lengthStarts[index] + (index === 28 ? 0 : number(extra(index, 4)));
      const far = symbol(distances);
      const distance = distanceStarts[far] + number(extra(far, 2));
      room(count);
      for (let done = 0; done < count; done++, size++) out[size] = out[size - distance];
    }
  }
  return out.subarray(0, size);
}
