/** What strangers may make grow, and how much of the gateway they may use. Overridable one by one. */
export const nameServerLimits = {
  /** Longer queries than this have no purpose; padded ones are under 500. */
  queryBytes: 4096,
  /** Records behind the question that are skipped to find EDNS; an honest query has one or two. */
  queryRecords: 16,
  /** RFC 9715 and DNS Flag Day 2020: larger datagrams are fragmented, and fragments are lost or forged. */
  datagramBytes: 1232,
  /** One name with more certificates than this is a mistake; the newest are told. Sixteen of RSA 4096 are 32 KB. */
  certificatesPerName: 16,
  /** Aliases followed inside our zones (CNAME chains). */
  aliases: 8,
  /** Questions under way in all, each waiting for the store. Beyond, datagrams are dropped. */
  underWay: 1000,
  /** Datagrams looked at per second in all: the gateway has other work on the same core. Some 5 % to 15 % of it. */
  datagramsPerSecond: 5000,
  /** Answers over UDP per client network and second, and at once. A busy resolver asks far less, as it caches. */
  udpPerSecond: 50,
  udpBurst: 200,
  /** The same over TCP, where nobody can ask in another's name. */
  tcpPerSecond: 50,
  tcpBurst: 200,
  /**
   * Questions for names that are not there, per client network: guessing addresses is slow. Whoever writes to a domain with
   * one certificate for all asks for each address in vain first, so that an honest peer needs some of them.
   */
  missesPerSecond: 5,
  missesBurst: 200,
  /** Of the datagrams over the limit each n-th is answered, truncated, so that a real client comes again by TCP. */
  slip: 2,
  /** Client networks remembered, about 200 bytes each. */
  clients: 20_000,
  /** Loopback is this machine (a resolver, a check, a bench): it would only slow down ourselves. */
  limitLoopback: false,
  /** TCP connections: one descriptor and some 10 KB each. The longest idle one makes room. */
  connections: 200,
  connectionsPerClient: 20,
  /** RFC 7766 §6.2.3: seconds. A query begun must be complete, and its answer taken, within the same time. */
  idleMs: 10_000,
  /** All of one connection. */
  connectionMs: 120_000,
  /** Questions of one connection that wait for an answer at once; more are not read meanwhile. */
  pipelined: 32,
  /** How long the served domains are remembered between questions. */
  domainsMs: 1000,
  /** Names remembered that have nothing but names below them; beyond, no name is denied any more (see between.ts). */
  between: 200_000,
  /** How often they are gathered anew, and how long the first time may hold up the start. */
  betweenEveryMs: 600_000,
  betweenFirstMs: 2000,
}

export type NameServerLimits = typeof nameServerLimits
