/** Small changes without knowledge of any format: flipped, cut, put in, doubled, overwritten. */
const octets = [0x00, 0x01, 0x02, 0x1f, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x84, 0xa0, 0xa3, 0xbf, 0xc0, 0xc1, 0xfe, 0xff]

/** @param {Buffer} bytes @param {import('./dice.mjs').Dice} dice @returns {Buffer} */
export function mutateBytes(bytes, dice) {
  let now = Buffer.from(bytes)
  for (let times = 1 + dice.below(4); times > 0; times--) {
    const at = dice.below(now.length + 1)
    const end = Math.min(now.length, at + 1 + dice.below(24))
    switch (dice.below(7)) {
      case 0:
        if (at < now.length) now[at] ^= 1 << dice.below(8)
        break
      case 1:
        if (at < now.length) now[at] = dice.pick(octets)
        break
      case 2:
        now = now.subarray(0, at)
        break
      case 3:
        now = Buffer.concat([now.subarray(0, at), now.subarray(end)])
        break
      case 4:
        now = Buffer.concat([now.subarray(0, at), dice.bytes(1 + dice.below(8)), now.subarray(at)])
        break
      case 5:
        now = Buffer.concat([now.subarray(0, end), now.subarray(at)])
        break
      default:
        now.fill(dice.pick(octets), at, end)
    }
  }
  return now
}
